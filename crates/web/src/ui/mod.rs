//! What pages are made of, whoever they are for: how numbers and times are written ([`number`], [`time`]), charts that the server
//! draws ([`chart`], [`heat`]), what changed of something ([`diff`]), forms as they come back from browsers ([`form`]), and pieces
//! of HTML that several pages share ([`html`]).

pub(crate) mod chart;
pub(crate) mod csv;
pub(crate) mod diff;
pub(crate) mod form;
pub(crate) mod heat;
pub(crate) mod html;
pub(crate) mod number;
pub(crate) mod time;
