//! An authenticator of passkeys with its browser (WebAuthn level 3, in the "none" attestation), which can be told to do wrong.

use data_encoding::BASE64URL_NOPAD;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;
const WITH_CREDENTIAL: u8 = 0x40;

/// A device with one passkey, and the page of a browser that asks it.
pub struct Authenticator {
    key: KeyPair,
    /// What the passkey is known by.
    pub credential_id: Vec<u8>,
    /// Whose it is, as the server said.
    pub user: Vec<u8>,
    /// The origin of the page.
    pub origin: String,
    /// The site that the authenticator signs for.
    pub site: String,
    /// Whether it knows who is there, and not only that somebody is.
    pub verifies: bool,
    /// How often it answered. It goes on by one with each answer.
    pub counter: u32,
    /// Whether it counts; password managers do not.
    pub counts: bool,
}

impl Authenticator {
    /// One that has no passkey yet, before a page of this origin.
    ///
    /// # Panics
    /// If no key can be made, or the origin has no host.
    pub fn new(origin: &str) -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key can be made");
        let host = origin.split("://").nth(1).expect("an origin has a host").split(':').next().unwrap_or_default();
        let credential_id = Sha256::digest(key.public_key_raw()).to_vec();
        let (origin, site) = (origin.to_owned(), host.to_owned());
        Self { key, credential_id, user: Vec::new(), origin, site, verifies: true, counter: 0, counts: true }
    }

    /// Makes the passkey that is asked for: the answer of the browser.
    ///
    /// # Panics
    /// If nothing that a browser takes is asked.
    pub fn create(&mut self, asked: &Value) -> Value {
        self.user = decoded(&asked["user"]["id"]);
        let client_data = self.client_data("webauthn.create", asked);
        let mut data = self.data(WITH_CREDENTIAL);
        // No model of authenticator.
        data.extend([0; 16]);
        data.extend(u16::try_from(self.credential_id.len()).expect("ids are short").to_be_bytes());
        data.extend(&self.credential_id);
        data.extend(self.cose_key());
        // {"fmt": "none", "attStmt": {}, "authData": data}
        let mut object = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59".to_vec();
        object.extend(u16::try_from(data.len()).expect("it is short").to_be_bytes());
        object.extend(data);
        self.credential(&json!({
            "clientDataJSON": BASE64URL_NOPAD.encode(client_data.as_bytes()),
            "attestationObject": BASE64URL_NOPAD.encode(&object),
            "transports": ["internal"],
        }))
    }

    /// Answers what is asked: the answer of the browser.
    ///
    /// # Panics
    /// If nothing can be signed.
    pub fn answer(&mut self, asked: &Value) -> Value {
        self.counter += u32::from(self.counts);
        let client_data = self.client_data("webauthn.get", asked);
        let data = self.data(0);
        let signed = [&data[..], &Sha256::digest(client_data.as_bytes())[..]].concat();
        let signature = self.key.sign(&signed).expect("it can be signed");
        self.credential(&json!({
            "clientDataJSON": BASE64URL_NOPAD.encode(client_data.as_bytes()),
            "authenticatorData": BASE64URL_NOPAD.encode(&data),
            "signature": BASE64URL_NOPAD.encode(&signature),
            "userHandle": BASE64URL_NOPAD.encode(&self.user),
        }))
    }

    fn client_data(&self, what: &str, asked: &Value) -> String {
        let challenge = asked["challenge"].as_str().expect("a challenge is asked");
        json!({ "type": what, "challenge": challenge, "origin": self.origin, "crossOrigin": false }).to_string()
    }

    fn data(&self, flags: u8) -> Vec<u8> {
        let flags = flags | USER_PRESENT | if self.verifies { USER_VERIFIED } else { 0 };
        let mut data = Sha256::digest(self.site.as_bytes()).to_vec();
        data.push(flags);
        data.extend(self.counter.to_be_bytes());
        data
    }

    /// A key of ECDSA over P-256 with SHA-256 as COSE writes it (RFC 9053 §7.1.1).
    fn cose_key(&self) -> Vec<u8> {
        let point = self.key.public_key_raw();
        let (x, y) = (&point[1..33], &point[33..65]);
        [&b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20"[..], x, b"\x22\x58\x20", y].concat()
    }

    fn credential(&self, response: &Value) -> Value {
        let id = BASE64URL_NOPAD.encode(&self.credential_id);
        json!({
            "id": id,
            "rawId": id,
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": response,
        })
    }
}

fn decoded(text: &Value) -> Vec<u8> {
    BASE64URL_NOPAD.decode(text.as_str().expect("a text").as_bytes()).expect("base64url without padding")
}
