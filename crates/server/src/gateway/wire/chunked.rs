//! A chunked body, byte for byte (G-3): the narrowest reading of RFC 9112 §7.1.
//!
//! Trailer fields are refused: a gateway that judges the head must not let a client add fields afterwards, and
//! nothing that speaks HTTP/1.1 needs them (gRPC, which does, comes with HTTP/2).

/// The largest chunk: far more than any body, and small enough that no sum of sizes runs over.
const MAX_CHUNK: u64 = 1 << 62;
/// Sixteen digits hold every size; more are leading zeros that nobody needs.
const MAX_DIGITS: u8 = 16;
/// The longest extension of one chunk.
const MAX_EXTENSION_BYTES: u16 = 256;
/// All extensions of a body. hyper stops at 16 KiB of them, so it never does so by itself.
const MAX_EXTENSIONS_BYTES: u16 = 4 * 1024;

/// Where in a chunked body we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunked {
    place: Place,
    /// Bytes of extensions so far, of the whole body.
    extensions: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Size { digits: u8, size: u64 },
    Extension { length: u16, size: u64 },
    SizeLf { size: u64 },
    Data { remaining: u64 },
    DataCr,
    DataLf,
    EndCr,
    EndLf,
    Done,
}

/// What was found in the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// All of them belong to the body, and it goes on.
    More,
    /// So many of them end it.
    Done(usize),
    /// So many of them are sound; the next one is not.
    Broken(usize, &'static str),
}

impl Chunked {
    pub(super) const fn new() -> Self {
        Self { place: Place::Size { digits: 0, size: 0 }, extensions: 0 }
    }

    pub(super) fn read(&mut self, bytes: &[u8]) -> Progress {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if let Place::Data { remaining } = &mut self.place {
                let here = bytes.len() - at;
                let taken = usize::try_from(*remaining).map_or(here, |remaining| remaining.min(here));
                *remaining -= taken as u64;
                at += taken;
                if *remaining == 0 {
                    self.place = Place::DataCr;
                }
                continue;
            }
            match self.step(byte) {
                Ok(place) => self.place = place,
                Err(detail) => return Progress::Broken(at, detail),
            }
            at += 1;
            if self.place == Place::Done {
                return Progress::Done(at);
            }
        }
        Progress::More
    }

    fn step(&mut self, byte: u8) -> Result<Place, &'static str> {
        match (self.place, byte) {
            (Place::Size { digits, size }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                // Sixteen digits fill 64 bits exactly, so the shift loses nothing.
                let digit = u64::from(char::from(byte).to_digit(16).unwrap_or_default());
                let size = size << 4 | digit;
                if digits == MAX_DIGITS || size > MAX_CHUNK {
                    return Err("A chunk size of the body is too large.");
                }
                Ok(Place::Size { digits: digits + 1, size })
            }
            (Place::Size { digits: 1.., size }, b'\r') | (Place::Extension { size, .. }, b'\r') => {
                Ok(Place::SizeLf { size })
            }
            (Place::Size { digits: 1.., size }, b';') => self.extension(0, size),
            (Place::Size { .. }, _) => Err("A chunk size of the body is not a plain hexadecimal number."),
            (Place::Extension { length, size }, 0x21..=0x7E) => self.extension(length, size),
            (Place::Extension { .. }, _) => Err("A chunk extension of the body holds more than visible characters."),
            (Place::SizeLf { size: 0 }, b'\n') => Ok(Place::EndCr),
            (Place::SizeLf { size }, b'\n') => Ok(Place::Data { remaining: size }),
            (Place::DataCr, b'\r') => Ok(Place::DataLf),
            (Place::DataLf, b'\n') => Ok(Place::Size { digits: 0, size: 0 }),
            (Place::DataCr | Place::DataLf, _) => Err("A chunk of the body is longer than its size says."),
            (Place::EndCr, b'\r') => Ok(Place::EndLf),
            (Place::EndLf, b'\n') => Ok(Place::Done),
            (Place::EndCr, _) => Err("Trailer fields after the body are not taken; send them as header fields."),
            (Place::SizeLf { .. } | Place::EndLf, _) => Err("A line of the chunked body does not end with CRLF."),
            // `read` takes data by the slice, and stops at the end.
            (Place::Data { .. } | Place::Done, _) => Err("The chunked body is over."),
        }
    }

    fn extension(&mut self, length: u16, size: u64) -> Result<Place, &'static str> {
        self.extensions += 1;
        if length == MAX_EXTENSION_BYTES || self.extensions > MAX_EXTENSIONS_BYTES {
            return Err("The chunk extensions of the body are too long.");
        }
        Ok(Place::Extension { length: length + 1, size })
    }
}
