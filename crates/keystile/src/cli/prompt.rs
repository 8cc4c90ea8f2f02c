//! What people are asked for at a terminal: a line, and passwords that don't show. Where there is no terminal, each is a line of
//! standard input.

use std::io::Read;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::fault::Fault;
use super::screen::Screen;

/// Longest line that is read: passwords have at most 1,024 characters.
const MAX_BYTES: usize = 8_192;

/// Asks for a line.
pub(super) fn line(screen: &mut Screen, input: &mut dyn Read, what: &str) -> Result<Zeroizing<String>, Fault> {
    if screen.terminal().input {
        screen.ask(&format!("{what}:"));
    }
    read(input, what)
}

/// Asks for a line that does not show.
pub(super) fn hidden(screen: &mut Screen, input: &mut dyn Read, what: &str) -> Result<Zeroizing<String>, Fault> {
    let is_terminal = screen.terminal().input;
    let quiet = is_terminal.then(Quiet::begin).flatten();
    let text = line(screen, input, what);
    if quiet.is_some() {
        // The line's end did not show either.
        screen.complain("");
    }
    text
}

/// Asks for a new password, twice at a terminal.
pub(super) fn new_password(screen: &mut Screen, input: &mut dyn Read) -> Result<Zeroizing<String>, Fault> {
    let first = hidden(screen, input, "New password, at least 15 characters")?;
    if screen.terminal().input && *hidden(screen, input, "The same once more")? != *first {
        return Err(Fault::usage("no password was set", "the two are not the same", "try again"));
    }
    Ok(first)
}

fn read(input: &mut dyn Read, what: &str) -> Result<Zeroizing<String>, Fault> {
    let fault = |why: &str| Fault::usage(format!("no {what} was given"), why, "give each on a line of its own");
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES));
    let mut byte = [0];
    loop {
        match input.read(&mut byte) {
            Ok(0) if bytes.is_empty() => return Err(fault("standard input has ended")),
            Ok(1) if byte[0] != b'\n' => bytes.push(byte[0]),
            Ok(_) => break,
            Err(error) => return Err(fault(&error.to_string())),
        }
        if bytes.len() > MAX_BYTES {
            return Err(fault("the line is too long"));
        }
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| fault("it is not text"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// A terminal that shows nothing of what is typed, until this is dropped.
struct Quiet(Termios);

impl Quiet {
    fn begin() -> Option<Self> {
        let before = tcgetattr(std::io::stdin()).ok()?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &quiet).ok()?;
        Some(Self(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}
