//! Letters from the change that causes them to whoever takes them.
