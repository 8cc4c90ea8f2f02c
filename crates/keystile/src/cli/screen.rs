//! The screen: results go to standard output and nothing else does; everything said to a person goes to standard
//! error. A reader who has seen enough (`| head`) is no failure.

use std::io::{IsTerminal, Write};

use super::fault::Exit;

/// What is known of the terminal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terminal {
    /// A person reads the results.
    pub out: bool,
    /// A person reads the remarks, and sees progress.
    pub err: bool,
    /// A person can be asked.
    pub input: bool,
}

/// Where results and remarks go.
pub struct Screen {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    terminal: Terminal,
    quiet: bool,
    color: bool,
    closed: bool,
    /// Why results did not get out, unless their reader had just seen enough.
    failure: Option<std::io::Error>,
}

impl std::fmt::Debug for Screen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Screen").field("terminal", &self.terminal).field("quiet", &self.quiet).finish_non_exhaustive()
    }
}

impl Screen {
    /// The screen of this process.
    pub fn of_process() -> Self {
        let terminal = Terminal {
            out: std::io::stdout().is_terminal(),
            err: std::io::stderr().is_terminal(),
            input: std::io::stdin().is_terminal(),
        };
        Self::new(Box::new(std::io::stdout()), Box::new(std::io::stderr()), terminal)
    }

    /// A screen that writes elsewhere.
    pub fn new(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>, terminal: Terminal) -> Self {
        Self { out, err, terminal, quiet: false, color: false, closed: false, failure: None }
    }

    /// Says less, or without colour, from here on.
    #[must_use]
    pub fn with(mut self, quiet: bool, color: bool) -> Self {
        self.quiet = quiet;
        self.color = color;
        self
    }

    /// What is known of the terminal.
    pub const fn terminal(&self) -> Terminal {
        self.terminal
    }

    /// Whether progress should be drawn.
    pub const fn draws_progress(&self) -> bool {
        self.terminal.err && !self.quiet
    }

    /// Writes a result.
    pub fn out(&mut self, text: &str) {
        // Nobody left to read it: the caller looks at `is_closed` where more work would follow.
        let _ = self.deliver(text);
    }

    /// Writes a result that exists only now.
    ///
    /// # Errors
    /// If it did not get out.
    pub fn deliver(&mut self, text: &str) -> std::io::Result<()> {
        let written = if self.closed {
            Err(std::io::ErrorKind::BrokenPipe.into())
        } else {
            self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush())
        };
        self.closed = written.is_err();
        if let Err(error) = &written
            && error.kind() != std::io::ErrorKind::BrokenPipe
        {
            self.failure = Some(error.kind().into());
        }
        written
    }

    /// How a command ends that would end so: as a failure, if its results did not get out.
    pub fn ended(&mut self, exit: Exit) -> Exit {
        match self.failure.take() {
            Some(cause) if exit == Exit::Ok || exit == Exit::Findings => {
                let label = self.red("error:");
                self.complain(&format!(
                    "{label} could not write the results\n  why: {cause}\n  fix: see that there is room where they go, and do it again"
                ));
                Exit::Failure
            }
            Some(_) | None => exit,
        }
    }

    /// Whether nobody reads the results any more.
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Says something that is good to know.
    pub fn note(&mut self, text: &str) {
        if !self.quiet {
            self.complain(text);
        }
    }

    /// Says something that must be known.
    pub fn complain(&mut self, text: &str) {
        let _ = writeln!(self.err, "{text}");
    }

    /// Asks, on the same line.
    pub(super) fn ask(&mut self, question: &str) {
        let _ = write!(self.err, "{question} ");
        let _ = self.err.flush();
    }

    /// The text in bold where results are read by a person.
    pub(super) fn bold(&self, text: &str) -> String {
        if self.color && self.terminal.out { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// The text in red where remarks are read by a person.
    pub(super) fn red(&self, text: &str) -> String {
        if self.color && self.terminal.err { format!("\x1b[31m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Text of others, fit for a terminal: nothing in it moves the cursor, changes colours or reverses the line.
pub(super) fn harmless(text: &str) -> String {
    let strange = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if strange(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_who_left_is_noticed_and_no_failure() {
        let mut screen = Screen::new(Box::new(Closed), Box::new(Closed), Terminal::default());
        screen.out("x");
        screen.complain("y");
        assert!(screen.is_closed());
        assert!(screen.deliver("the only copy").is_err());
    }

    #[test]
    fn results_that_found_no_room_are_a_failure() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let mut screen = Screen::new(Box::new(Full), Box::new(Closed), Terminal::default());
        assert_eq!(screen.ended(Exit::Ok), Exit::Ok, "nothing was written yet");
        screen.out("x");
        assert_eq!(screen.ended(Exit::Ok), Exit::Failure);
        let mut screen = Screen::new(Box::new(Closed), Box::new(Closed), Terminal::default());
        screen.out("x");
        assert_eq!(screen.ended(Exit::Ok), Exit::Ok, "its reader had seen enough");
    }

    #[test]
    fn names_of_others_cannot_write_on_the_terminal() {
        assert_eq!(harmless("a\x1b[2Jb\r\nc\u{202e}d"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}c\u{fffd}d");
        assert_eq!(harmless("Zürich 🚦"), "Zürich 🚦");
    }
}
