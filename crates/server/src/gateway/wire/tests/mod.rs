//! What must hold on the wire. `rules` has a table for each row of SECURITY.md §4, `splits` and `differential` look for
//! what no table thought of, `served` drives hyper behind the guard, `timed` lets the clock run.

mod cost;
mod differential;
mod harness;
mod rules;
mod served;
mod smuggling;
mod splits;
mod timed;
