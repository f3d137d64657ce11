//! sync docs follow
