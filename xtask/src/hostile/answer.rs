//! Reads answers, from the gateway and from upstreams alike.

use super::reader::find;

/// An answer, not an informational one.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    /// Its status.
    pub status: u16,
    fields: Vec<(String, Vec<u8>)>,
    /// Its body.
    pub body: Vec<u8>,
}

/// What stands at the beginning of some bytes.
#[derive(Debug)]
pub(super) enum Step {
    /// An answer of so many bytes.
    Whole(Answer, usize),
    /// The beginning of one, or nothing.
    More,
    /// No answer.
    Broken(&'static str),
}

impl Answer {
    /// The value of a field that stands there once.
    pub(super) fn one(&self, name: &str) -> Option<&[u8]> {
        let mut values = self.fields.iter().filter(|(own, _)| own == name).map(|(_, value)| &**value);
        values.next().filter(|_| values.next().is_none())
    }
}

/// Reads one answer. Whether it is one to HEAD is not always known, because what was asked may have been refused unread.
/// But no body in these runs begins with `H`, as every answer does.
pub(super) fn step(bytes: &[u8], to_head: bool, at_end: bool) -> Step {
    match answer(bytes, to_head, at_end) {
        Ok(Some((answer, len))) => Step::Whole(answer, len),
        Ok(None) => Step::More,
        Err(why) => Step::Broken(why),
    }
}

fn answer(bytes: &[u8], to_head: bool, at_end: bool) -> Result<Option<(Answer, usize)>, &'static str> {
    let mut start = 0;
    loop {
        let Some(end) = find(&bytes[start..], b"\r\n\r\n").map(|at| start + at) else {
            return if at_end && start < bytes.len() { Err("the head breaks off") } else { Ok(None) };
        };
        let mut answer = head(&bytes[start..end])?;
        start = end + 4;
        if answer.status < 200 && answer.status != 101 {
            continue;
        }
        let rest = &bytes[start..];
        let (body, len) = if answer.one("transfer-encoding").is_some() {
            return Err("chunked, which nobody does here");
        } else if let Some(length) = answer.one("content-length") {
            let length = std::str::from_utf8(length).ok().and_then(|text| text.parse::<usize>().ok());
            let length = length.ok_or("a bad Content-Length")?;
            let has_body = length > 0 && !to_head && rest.first() != Some(&b'H');
            match rest.get(..length) {
                _ if !has_body => (&[][..], 0),
                Some(body) => (body, length),
                None if at_end && rest.is_empty() => (&[][..], 0),
                None if at_end => return Err("the body breaks off"),
                None => return Ok(None),
            }
        } else if to_head || matches!(answer.status, 101 | 204 | 304) {
            (&[][..], 0)
        } else if at_end {
            (rest, rest.len())
        } else {
            return Ok(None);
        };
        answer.body = body.to_vec();
        return Ok(Some((answer, start + len)));
    }
}

fn head(raw: &[u8]) -> Result<Answer, &'static str> {
    let text = std::str::from_utf8(raw).map_err(|_| "a head that is not ASCII")?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| {
        // Whoever asked by HTTP/1.0 is answered so.
        let rest = line.strip_prefix("HTTP/1.1 ").or(line.strip_prefix("HTTP/1.0 "))?;
        rest.get(..3)?.parse().ok()
    });
    let mut answer = Answer { status: status.ok_or("no status line")?, fields: Vec::new(), body: Vec::new() };
    for line in lines {
        let (name, value) = line.split_once(':').ok_or("a field without a colon")?;
        answer.fields.push((name.to_ascii_lowercase(), value.trim().as_bytes().to_vec()));
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_to_their_end() {
        let bytes = b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 3\r\n\r\n{}\nHTTP/1.1 400 B\r\nContent-Length: 9\r\n\r\n";
        let Step::Whole(first, len) = step(bytes, false, false) else { panic!("no answer") };
        assert_eq!((first.status, &first.body[..], first.one("x")), (200, &b"{}\n"[..], Some(&b"y"[..])));
        assert!(matches!(step(&bytes[len..], false, false), Step::More));
        let Step::Whole(second, _) = step(&bytes[len..], false, true) else { panic!("no answer") };
        assert_eq!((second.status, second.body.len()), (400, 0));
        let to_head = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
        assert!(matches!(step(to_head, true, false), Step::Whole(_, 38)));
    }
}
