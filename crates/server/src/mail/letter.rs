//! What letters say. Each is plain text and the same as simple HTML; a text that others typed is a text in both, and can't become a
//! header field.

use std::time::SystemTime;

use keystile_core::account::EmailAddress;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::{Address, Message};

/// A letter to somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// To whom.
    pub to: EmailAddress,
    /// What about.
    pub about: About,
}

/// What a letter is about.
#[derive(Clone, PartialEq, Eq)]
pub enum About {
    /// A link that lets its holder in.
    SignIn {
        /// It.
        link: String,
        /// For how long it is good.
        minutes: i64,
    },
    /// Somebody asked for such a link whom a passkey or an identity provider lets in, so that there is none.
    OtherWay {
        /// Where they log in.
        page: String,
    },
}

impl std::fmt::Debug for About {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.kind())
    }
}

/// A letter in words.
struct Words {
    subject: String,
    parts: Vec<Part>,
}

enum Part {
    Text(String),
    /// What a link is for, and the link.
    Link(&'static str, String),
}

impl About {
    /// A word for it, in logs.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::SignIn { .. } => "sign_in",
            Self::OtherWay { .. } => "other_way",
        }
    }

    /// Where it leads.
    pub(super) fn link(&self) -> &str {
        match self {
            Self::SignIn { link, .. } => link,
            Self::OtherWay { page } => page,
        }
    }

    fn words(&self) -> Words {
        match self {
            Self::SignIn { link, minutes } => Words {
                subject: "Your link to sign in".to_owned(),
                parts: vec![
                    Part::Text("Somebody asked for a link to sign in with this e-mail address.".to_owned()),
                    Part::Link("Sign in", link.clone()),
                    Part::Text(format!("It works once, within {minutes} minutes. Whoever has it gets in, so pass it on to nobody.")),
                    Part::Text("If it was not you, do nothing: the link ends by itself.".to_owned()),
                ],
            },
            Self::OtherWay { page } => Words {
                subject: "How you sign in".to_owned(),
                parts: vec![
                    Part::Text("Somebody asked for a link to sign in with this e-mail address.".to_owned()),
                    Part::Text(
                        "Your account has a passkey, or is connected with an identity provider. Nothing that comes by e-mail is \
                         as safe, so there is no link; sign in with that here:"
                            .to_owned(),
                    ),
                    Part::Link("Sign in", page.clone()),
                    Part::Text("If it was not you, do nothing.".to_owned()),
                ],
            },
        }
    }
}

impl Words {
    fn plain(&self) -> String {
        let lines = self.parts.iter().map(|part| match part {
            Part::Text(text) => wrapped(text),
            Part::Link(_, link) => link.clone(),
        });
        let mut plain = lines.collect::<Vec<String>>().join("\r\n\r\n");
        plain.push_str("\r\n");
        plain
    }

    fn html(&self) -> String {
        let mut html = "<!doctype html>\r\n<html lang=\"en\">\r\n<body>\r\n".to_owned();
        for part in &self.parts {
            match part {
                Part::Text(text) => html.push_str(&format!("<p>{}</p>\r\n", escaped(text))),
                Part::Link(text, link) => {
                    let (text, link) = (escaped(text), escaped(link));
                    html.push_str(&format!("<p><a href=\"{link}\">{text}</a></p>\r\n<p>{link}</p>\r\n"));
                }
            }
        }
        html.push_str("</body>\r\n</html>\r\n");
        html
    }
}

/// Longest line of plain text (RFC 5322 §2.1.1).
const LINE: usize = 78;

/// A text in lines.
fn wrapped(text: &str) -> String {
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in text.split_whitespace() {
        if !line.is_empty() && line.len() + 1 + word.len() > LINE {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines.join("\r\n")
}

/// A text as it stands in HTML, between tags and in quotes (O-8).
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// That no person wrote it, so that nobody's holiday answers (RFC 3834 §5).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

impl Letter {
    /// The letter as mail servers take it.
    ///
    /// # Errors
    /// If the address is one that they don't take.
    pub(super) fn message(
        &self,
        from: Mailbox,
        date: SystemTime,
        id: &str,
    ) -> Result<Message, Box<dyn std::error::Error + Send + Sync>> {
        let words = self.about.words();
        let to: Address = self.to.as_str().parse()?;
        let id = format!("<{id}@{}>", from.email.domain());
        // A field ends with its line; no text that is put into one brings another line along.
        let subject: String = words.subject.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let message = Message::builder()
            .from(from)
            .to(Mailbox::new(None, to))
            .subject(subject)
            .date(date)
            .message_id(Some(id))
            .header(AutoSubmitted)
            .multipart(MultiPart::alternative_plain_html(words.plain(), words.html()))?;
        Ok(message)
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn text(words: &Words, to: &str) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        let from: Mailbox = "Keys <keys@example.com>".parse()?;
        let message = Message::builder()
            .from(from)
            .to(Mailbox::new(None, to.parse()?))
            .subject(words.subject.clone())
            .date(UNIX_EPOCH)
            .multipart(MultiPart::alternative_plain_html(words.plain(), words.html()))?;
        Ok(String::from_utf8(message.formatted())?)
    }

    #[test]
    fn o08_what_others_typed_stands_in_a_letter_as_text() {
        let typed = "</p><script>alert(\"1\")</script>&amp;'";
        let words = Words {
            subject: "Subject".to_owned(),
            parts: vec![Part::Text(typed.to_owned()), Part::Link("Here", format!("https://a.example/#\"{typed}"))],
        };
        let html = words.html();
        assert!(!html.contains("<script>") && html.contains("&lt;script&gt;alert(&quot;1&quot;)"), "{html}");
        assert!(html.contains("&amp;amp;&#39;") && html.matches('"').count() == 4, "{html}");
        assert!(words.plain().contains(typed));
    }

    #[test]
    fn no_text_becomes_a_header_field() {
        for typed in [
            "a\r\nBcc: eve@example.com",
            "a\nBcc: eve@example.com\n\nbody",
            "a\rBcc: eve@example.com",
            "ä\r\nBcc: eve@example.com",
        ] {
            let words = Words { subject: typed.to_owned(), parts: vec![Part::Text("x".to_owned())] };
            let text = text(&words, "ada@example.com").unwrap();
            let head = text.split_once("\r\n\r\n").unwrap().0;
            let names: Vec<&str> =
                head.lines().filter_map(|line| line.split_once(": ")).map(|(name, _)| name).collect();
            assert!(!names.contains(&"Bcc") && !head.lines().any(|line| line.starts_with("Bcc")), "{head}");
        }
        for address in ["ada@example.com\r\nRCPT TO:<eve@example.com>", "a b@example.com", "ada@example.com>\r\n"] {
            assert!(address.parse::<EmailAddress>().is_err(), "{address:?}");
        }
    }

    #[test]
    fn a_letter_says_who_it_is_from_and_that_nobody_wrote_it() {
        let about = About::SignIn { link: "https://keys.example.com/enter#x".to_owned(), minutes: 15 };
        assert_eq!(format!("{about:?}"), "sign_in", "its link is not in logs");
        let letter = Letter { to: "Ada@Example.com".parse().unwrap(), about };
        let message = letter.message("Keys <keys@example.com>".parse().unwrap(), UNIX_EPOCH, "abc").unwrap();
        let text = String::from_utf8(message.formatted()).unwrap();
        for line in [
            "From: Keys <keys@example.com>",
            "To: ada@example.com",
            "Date: Thu, 01 Jan 1970 00:00:00 +0000",
            "Message-ID: <abc@example.com>",
            "Auto-Submitted: auto-generated",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(text.contains("multipart/alternative") && text.contains("https://keys.example.com/enter#x"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 78), "{text}");
    }

    #[test]
    fn an_address_with_other_letters_is_written_to() {
        let letter = Letter {
            to: "jörg+keys@example.com".parse().unwrap(),
            about: About::OtherWay { page: "https://keys.example.com/account".to_owned() },
        };
        assert!(letter.message("keys@example.com".parse().unwrap(), UNIX_EPOCH, "abc").is_ok());
    }
}
