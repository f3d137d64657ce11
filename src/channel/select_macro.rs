//! `select!` and `select_biased!`: short forms of [`Select`](crate::channel::Select), and nothing more.
//!
//! The arms are taken apart one by one (`@next`, `@body`), the senders and receivers are evaluated in order and
//! bound (`@bind`), and what was selected finds its arm by its index (`@dispatch`). The operation ends before the body, which
//! may change or drop what the arms name.

/// Waits for one of several channel operations: Go's `select`, in crossbeam-channel's syntax.
///
/// - `recv(receiver) -> result => body` receives; `send(sender, message) -> result => body` sends. `result` is a
///   pattern for the operation's `Result`.
/// - `default => body` runs if no operation can go ahead at once; `default(timeout) => body` if none could for so
///   long. There may be one of them.
///
/// If several operations can go ahead, one is chosen at random; [`select_biased!`](crate::select_biased) takes
/// the first instead. Senders, receivers and the timeout are evaluated once, in order; a message is evaluated only
/// when its arm is chosen (in Go: always, at the start).
///
/// Cost: 30–80 ns for two to four arms.
///
/// ```
/// use lisle::{channel, go, select};
/// use std::time::Duration;
///
/// let (numbers, receive_number) = channel::bounded(0);
/// let (stop, stopped) = channel::bounded::<()>(0);
/// go(move || {
///     numbers.send(1).unwrap();
///     drop(stop);
/// });
/// let mut sum = 0;
/// loop {
///     select! {
///         recv(receive_number) -> number => match number {
///             Ok(number) => sum += number,
///             Err(_) => break,
///         },
///         recv(stopped) -> _ => break,
///         default(Duration::from_secs(5)) => panic!("nothing for five seconds"),
///     }
/// }
/// assert_eq!(sum, 1);
/// ```
///
/// At least one arm is needed, or the wait would never end.
#[macro_export]
macro_rules! select {
    () => {
        compile_error!("a `select!` needs an operation, or it would wait for ever")
    };
    ($($arms:tt)+) => {
        $crate::__select!(@next ($crate::channel::Select::new()) () [] $($arms)*)
    };
}

/// As [`select!`](crate::select), but of several operations that can go ahead it takes the first.
///
/// ```
/// use lisle::{channel, select_biased};
/// let (urgent, receive_urgent) = channel::unbounded();
/// let (normal, receive_normal) = channel::unbounded();
/// normal.send("normal").unwrap();
/// urgent.send("urgent").unwrap();
/// let first = select_biased! {
///     recv(receive_urgent) -> message => message,
///     recv(receive_normal) -> message => message,
/// };
/// assert_eq!(first, Ok("urgent"));
/// ```
#[macro_export]
macro_rules! select_biased {
    () => {
        compile_error!("a `select_biased!` needs an operation, or it would wait for ever")
    };
    ($($arms:tt)+) => {
        $crate::__select!(@next ($crate::channel::Select::new_biased()) () [] $($arms)*)
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __select {
    // The next arm: its head …
    (@next $new:tt $default:tt $arms:tt) => {
        $crate::__select!(@bind $new $default $arms [])
    };
    (@next $new:tt $default:tt $arms:tt recv($receiver:expr $(,)?) -> $result:pat => $($rest:tt)+) => {
        $crate::__select!(@body $new $default $arms (recv ($receiver) ($result)) $($rest)+)
    };
    (@next $new:tt $default:tt $arms:tt send($sender:expr, $message:expr $(,)?) -> $result:pat => $($rest:tt)+) => {
        $crate::__select!(@body $new $default $arms (send ($sender) ($message) ($result)) $($rest)+)
    };
    (@next $new:tt () $arms:tt default $(())? => $($rest:tt)+) => {
        $crate::__select!(@body $new () $arms (default) $($rest)+)
    };
    (@next $new:tt () $arms:tt default($timeout:expr $(,)?) => $($rest:tt)+) => {
        $crate::__select!(@body $new () $arms (default ($timeout)) $($rest)+)
    };
    // (What is wrong with it.)
    (@next $new:tt $default:tt $arms:tt default $(($($timeout:tt)*))? -> $($rest:tt)*) => {
        compile_error!("a `default` has no result: write `default => body` or `default(timeout) => body`")
    };
    (@next $new:tt ($($default:tt)+) $arms:tt default $($rest:tt)*) => {
        compile_error!("there can be only one `default` in a `select!`")
    };
    (@next $new:tt $default:tt $arms:tt $($rest:tt)+) => {
        compile_error!(concat!(
            "expected `recv(receiver) -> result => body`, `send(sender, message) -> result => body`, ",
            "`default => body` or `default(timeout) => body`, found `", stringify!($($rest)+), "`"
        ))
    };

    // … and its body: a block, after which a comma may be left out, or an expression.
    (@body $new:tt $default:tt $arms:tt $head:tt $body:block, $($rest:tt)*) => {
        $crate::__select!(@arm $new $default $arms $head ($body) $($rest)*)
    };
    (@body $new:tt $default:tt $arms:tt $head:tt $body:block $($rest:tt)*) => {
        $crate::__select!(@arm $new $default $arms $head ($body) $($rest)*)
    };
    (@body $new:tt $default:tt $arms:tt $head:tt $body:expr, $($rest:tt)*) => {
        $crate::__select!(@arm $new $default $arms $head ($body) $($rest)*)
    };
    (@body $new:tt $default:tt $arms:tt $head:tt $body:expr) => {
        $crate::__select!(@arm $new $default $arms $head ($body))
    };
    (@body $new:tt $default:tt $arms:tt $head:tt $body:expr; $($rest:tt)*) => {
        compile_error!(concat!("expected a comma after the body of an arm, found `; ", stringify!($($rest)*), "`"))
    };

    (@arm $new:tt () $arms:tt (default $($timeout:tt)?) $body:tt $($rest:tt)*) => {
        $crate::__select!(@next $new (($($timeout)?) $body) $arms $($rest)*)
    };
    (@arm $new:tt $default:tt [$($arms:tt)*] ($($head:tt)+) $body:tt $($rest:tt)*) => {
        $crate::__select!(@next $new $default [$($arms)* ($($head)+ $body)] $($rest)*)
    };

    // Evaluates senders and receivers, which live until the end of the body.
    (@bind $new:tt $default:tt [(recv ($receiver:expr) $result:tt $body:tt) $($arms:tt)*] [$($bound:tt)*]) => {
        match &$receiver {
            handle => {
                let handle: &$crate::channel::Receiver<_> = handle;
                $crate::__select!(@bind $new $default [$($arms)*] [$($bound)* (recv handle $result $body)])
            }
        }
    };
    (@bind $new:tt $default:tt [(send ($sender:expr) $message:tt $result:tt $body:tt) $($arms:tt)*] [$($bound:tt)*]) => {
        match &$sender {
            handle => {
                let handle: &$crate::channel::Sender<_> = handle;
                $crate::__select!(@bind $new $default [$($arms)*] [$($bound)* (send handle $message $result $body)])
            }
        }
    };
    (@bind ($new:expr) $default:tt [] [$(($operation:ident $handle:ident $($arm:tt)+))*]) => {{
        #[allow(unused_mut)]
        let mut selection = $new;
        $(selection.$operation($handle);)*
        $crate::__select!(@run selection $default [$(($operation $handle $($arm)+))*])
    }};

    (@run $selection:ident () $arms:tt) => {{
        let mut operation = $crate::channel::Operation::default();
        $selection.select_into(&mut operation);
        $crate::__select!(@dispatch operation (0) $arms)
    }};
    (@run $selection:ident (() ($default:expr)) $arms:tt) => {{
        let mut operation = $crate::channel::Operation::default();
        match $selection.try_select_into(&mut operation) {
            Ok(()) => $crate::__select!(@dispatch operation (0) $arms),
            Err(_) => {
                ::core::mem::drop(operation);
                $default
            }
        }
    }};
    (@run $selection:ident ((($timeout:expr)) ($default:expr)) $arms:tt) => {{
        let mut operation = $crate::channel::Operation::default();
        match $selection.select_timeout_into($timeout, &mut operation) {
            Ok(()) => $crate::__select!(@dispatch operation (0) $arms),
            Err(_) => {
                ::core::mem::drop(operation);
                $default
            }
        }
    }};

    (@dispatch $operation:ident ($index:expr) [(recv $handle:ident ($result:pat) ($body:expr)) $($arms:tt)*]) => {
        if $operation.index() == $index {
            let $result = $operation.recv($handle);
            ::core::mem::drop($operation);
            $body
        } else {
            $crate::__select!(@dispatch $operation ($index + 1) [$($arms)*])
        }
    };
    (@dispatch $operation:ident ($index:expr) [(send $handle:ident ($message:expr) ($result:pat) ($body:expr)) $($arms:tt)*]) => {
        if $operation.index() == $index {
            let $result = $operation.send($handle, $message);
            ::core::mem::drop($operation);
            $body
        } else {
            $crate::__select!(@dispatch $operation ($index + 1) [$($arms)*])
        }
    };
    (@dispatch $operation:ident $index:tt []) => {
        unreachable!("operation {} was not in the list", $operation.index())
    };
}
