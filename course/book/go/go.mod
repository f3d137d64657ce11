module week7

go 1.27

require golang.org/x/sync v0.0.0

// The toolchain carries the sources of these packages: see ./test.
replace golang.org/x/sync => ./.xsync
