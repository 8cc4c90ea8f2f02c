//! A mail server that keeps what it gets, and refuses what a test says.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::eventually;

/// A running mail server, which speaks SMTP in clear.
pub struct Postbox {
    /// Where it listens.
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

/// A letter that came.
#[derive(Debug, Clone)]
pub struct Posted {
    /// Who sent it, as the envelope says.
    pub from: String,
    /// To whom, as the envelope says.
    pub to: Vec<String>,
    /// Header and body.
    pub text: String,
}

#[derive(Default)]
struct State {
    posted: Vec<Posted>,
    heard: Vec<String>,
    refusals: VecDeque<String>,
    extensions: Vec<String>,
}

impl Postbox {
    /// A new one.
    ///
    /// # Panics
    /// If it can't listen.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let state = Arc::new(Mutex::new(State::default()));
        let its_state = state.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let state = its_state.clone();
                std::thread::spawn(move || serve(connection, &state));
            }
        });
        Self { address, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Answers the next recipients with these lines, one after the other; then takes all.
    pub fn refuse(&self, answers: &[&str]) {
        self.state().refusals.extend(answers.iter().map(|answer| (*answer).to_owned()));
    }

    /// Offers these extensions besides those that it has.
    pub fn offer(&self, extensions: &[&str]) {
        self.state().extensions.extend(extensions.iter().map(|extension| (*extension).to_owned()));
    }

    /// Every command that was said to it.
    pub fn heard(&self) -> Vec<String> {
        self.state().heard.clone()
    }

    /// The letters to somebody, once there are so many.
    ///
    /// # Panics
    /// If they do not come.
    pub fn letters(&self, to: &str, count: usize) -> Vec<Posted> {
        let found = || -> Vec<Posted> {
            self.state().posted.iter().filter(|letter| letter.to.iter().any(|one| one == to)).cloned().collect()
        };
        eventually("a letter came", || found().len() >= count);
        found()
    }

    /// How many letters came, to anybody.
    pub fn count(&self) -> usize {
        self.state().posted.len()
    }
}

impl Posted {
    /// A field of the header.
    pub fn field(&self, name: &str) -> Option<&str> {
        let head = self.text.split_once("\r\n\r\n").map_or(self.text.as_str(), |(head, _)| head);
        let line =
            |line: &'_ str| line.split_once(": ").filter(|(field, _)| field.eq_ignore_ascii_case(name)).is_some();
        head.lines().find(|text| line(text)).and_then(|line| line.split_once(": ")).map(|(_, value)| value)
    }

    /// The first address in the plain text, whole even if a line had to end in it (RFC 2045 §6.7).
    pub fn link(&self) -> Option<String> {
        let text = self.text.replace("=\r\n", "").replace("=3D", "=");
        let begin = text.find("http://").or_else(|| text.find("https://"))?;
        let link: String = text[begin..].chars().take_while(|c| !c.is_whitespace()).collect();
        Some(link)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection, to its end.
fn serve(connection: TcpStream, state: &Mutex<State>) {
    let Ok(mut out) = connection.try_clone() else { return };
    let mut lines = BufReader::new(connection);
    let mut say = move |text: &str| out.write_all(format!("{text}\r\n").as_bytes()).is_ok();
    if !say("220 postbox ESMTP") {
        return;
    }
    let (mut from, mut to) = (String::new(), Vec::new());
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let line = line.trim_end().to_owned();
        lock(state).heard.push(line.clone());
        let word = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let is_open = match word.as_str() {
            "EHLO" => {
                let extensions = lock(state).extensions.clone();
                let more: String = extensions.iter().map(|extension| format!("250-{extension}\r\n")).collect();
                say(&format!("250-postbox\r\n{more}250-8BITMIME\r\n250 SMTPUTF8"))
            }
            "AUTH" => say("235 welcome"),
            "MAIL" => {
                from = mailbox(&line);
                to.clear();
                say("250 ok")
            }
            "RCPT" => {
                let refusal = lock(state).refusals.pop_front();
                if refusal.is_none() {
                    to.push(mailbox(&line));
                }
                say(&refusal.unwrap_or_else(|| "250 ok".to_owned()))
            }
            "DATA" => {
                if !say("354 go on") {
                    return;
                }
                let mut text = String::new();
                loop {
                    let mut line = String::new();
                    if lines.read_line(&mut line).unwrap_or(0) == 0 {
                        return;
                    }
                    if line == ".\r\n" {
                        break;
                    }
                    text.push_str(line.strip_prefix('.').unwrap_or(&line));
                }
                lock(state).posted.push(Posted { from: from.clone(), to: to.clone(), text });
                say("250 ok")
            }
            "RSET" | "NOOP" => say("250 ok"),
            "QUIT" => {
                say("221 bye");
                return;
            }
            _ => say("502 not here"),
        };
        if !is_open {
            return;
        }
    }
}

/// What stands between `<` and `>`.
fn mailbox(line: &str) -> String {
    let inside = line.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(inside, _)| inside);
    inside.unwrap_or_default().to_owned()
}
