//! The real binary on real sockets, as its users meet it.

mod gateway;
mod operation;
