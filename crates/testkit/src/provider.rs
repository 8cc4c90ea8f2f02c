//! An identity provider (OpenID Connect) that vouches for whomever a test says, and can be told to do wrong.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use data_encoding::{BASE64, BASE64URL_NOPAD};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

/// A running provider. Its one client is `keystile`, with the secret `its secret`.
pub struct Provider {
    /// Its issuer.
    pub issuer: String,
    state: Arc<Mutex<State>>,
}

struct State {
    key: KeyPair,
    key_id: u32,
    /// What a code stands for: the claims, the header of their token, and the challenge of whoever asked.
    codes: HashMap<String, Promise>,
    asked: Vec<String>,
    faults: Vec<String>,
}

struct Promise {
    claims: Value,
    header: Value,
    challenge: String,
    signed: Signed,
}

/// How a token is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    /// By the key that the provider names.
    Rightly,
    /// By another key.
    ByAnother,
    /// Not at all.
    Not,
}

impl Provider {
    /// A new one.
    ///
    /// # Panics
    /// If it can't listen.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let issuer = format!("http://{}", listener.local_addr().expect("it listens"));
        let key = new_key();
        let (codes, asked, faults) = (HashMap::new(), Vec::new(), Vec::new());
        let state = Arc::new(Mutex::new(State { key, key_id: 1, codes, asked, faults }));
        let (its_state, its_issuer) = (state.clone(), issuer.clone());
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                answer(connection, &its_issuer, &its_state);
            }
        });
        Self { issuer, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What somebody brings back who went to this address and logged in: `code` and `state`. `alter` changes what is claimed, and the
    /// header of the token.
    ///
    /// # Panics
    /// If the address is not one that a client makes.
    pub fn log_in(
        &self,
        url: &str,
        subject: &str,
        signed: Signed,
        alter: impl FnOnce(&mut Value, &mut Value),
    ) -> (String, String) {
        let url = Url::parse(url).expect("it is an address");
        let asked: HashMap<String, String> = url.query_pairs().into_owned().collect();
        let of = |name: &str| asked.get(name).unwrap_or_else(|| panic!("{name} is missing in {url}")).clone();
        assert!(url.as_str().starts_with(&format!("{}/authorize?", self.issuer)), "{url}");
        assert_eq!((of("client_id").as_str(), of("response_type").as_str()), ("keystile", "code"));
        assert_eq!(of("code_challenge_method"), "S256");
        assert!(of("scope").split(' ').any(|scope| scope == "openid"));
        let now = now();
        let mut claims = json!({
            "iss": self.issuer, "sub": subject, "aud": "keystile", "iat": now, "exp": now + 60, "auth_time": now,
            "nonce": of("nonce"), "email": format!("{subject}@example.com"), "email_verified": true,
        });
        let mut state = self.state();
        let mut header = json!({ "alg": "ES256", "kid": state.key_id.to_string() });
        alter(&mut claims, &mut header);
        let code = format!("code-{}", state.asked.len() + state.codes.len());
        let promise = Promise { claims, header, challenge: of("code_challenge"), signed };
        state.codes.insert(code.clone(), promise);
        (code, of("state"))
    }

    /// Signs by another key from now on.
    pub fn change_key(&self) {
        let mut state = self.state();
        state.key = new_key();
        state.key_id += 1;
    }

    /// The paths that were asked for.
    pub fn asked(&self) -> Vec<String> {
        self.state().asked.clone()
    }

    /// What clients did wrong.
    pub fn faults(&self) -> Vec<String> {
        self.state().faults.clone()
    }
}

fn new_key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key can be made")
}

#[expect(clippy::disallowed_methods, reason = "tokens are good for the machine's own time")]
fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

fn answer(mut connection: TcpStream, issuer: &str, state: &Mutex<State>) {
    let mut reader = BufReader::new(&connection);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let field = |name: &str| {
        let found = lines.iter().filter_map(|line| line.split_once(':')).find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim().to_owned())
    };
    let length = field("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let path = lines[0].split(' ').nth(1).unwrap_or_default().to_owned();
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    state.asked.push(path.clone());
    let (status, text) = match path.as_str() {
        "/.well-known/openid-configuration" => (200, discovery(issuer).to_string()),
        "/keys" => (200, json!({ "keys": [public(&state)] }).to_string()),
        "/token" => token(&mut state, field("authorization").as_deref(), &body),
        _ => (404, "{}".to_owned()),
    };
    let head = format!(
        "HTTP/1.1 {status} \r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        text.len()
    );
    let _ = connection.write_all([head.as_bytes(), text.as_bytes()].concat().as_slice());
}

fn discovery(issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    })
}

fn public(state: &State) -> Value {
    let point = state.key.public_key_raw();
    json!({
        "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": state.key_id.to_string(),
        "x": BASE64URL_NOPAD.encode(&point[1..33]), "y": BASE64URL_NOPAD.encode(&point[33..65]),
    })
}

/// A code is good once, for the client that has its verifier (RFC 7636).
fn token(state: &mut State, authorization: Option<&str>, body: &[u8]) -> (u16, String) {
    let refused = |why: &str| (400, json!({ "error": "invalid_grant", "error_description": why }).to_string());
    let asked: HashMap<String, String> = url::form_urlencoded::parse(body).into_owned().collect();
    let wanted = format!("Basic {}", BASE64.encode(b"keystile:its+secret"));
    if authorization != Some(wanted.as_str()) {
        state.faults.push(format!("another client: {authorization:?}"));
        return refused("another client");
    }
    let Some(promise) = asked.get("code").and_then(|code| state.codes.remove(code)) else {
        return refused("there is no such code");
    };
    let verifier = asked.get("code_verifier").map(String::as_str).unwrap_or_default();
    if BASE64URL_NOPAD.encode(&Sha256::digest(verifier.as_bytes())) != promise.challenge {
        state.faults.push("another verifier".to_owned());
        return refused("another verifier");
    }
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let text = format!("{}.{}", part(&promise.header), part(&promise.claims));
    let other = new_key();
    let signature = match promise.signed {
        Signed::Rightly => raw(&state.key.sign(text.as_bytes()).expect("it can be signed")),
        Signed::ByAnother => raw(&other.sign(text.as_bytes()).expect("it can be signed")),
        Signed::Not => Vec::new(),
    };
    let token = format!("{text}.{}", BASE64URL_NOPAD.encode(&signature));
    (200, json!({ "access_token": "opaque", "token_type": "Bearer", "expires_in": 60, "id_token": token }).to_string())
}

/// A signature as JWTs have it (RFC 7518 §3.4): two numbers of 32 bytes, which DER writes as it pleases.
fn raw(der: &[u8]) -> Vec<u8> {
    let mut rest = &der[2..];
    let mut both = Vec::new();
    for _ in 0..2 {
        let length = usize::from(rest[1]);
        let number = &rest[2..2 + length];
        let number = &number[number.len().saturating_sub(32)..];
        both.extend(vec![0; 32 - number.len()]);
        both.extend(number);
        rest = &rest[2 + length..];
    }
    both
}

/// The public key of somebody who is not the provider, as a token could bring it.
pub fn strange_key() -> Value {
    let point = new_key().public_key_raw().to_vec();
    json!({ "kty": "EC", "crv": "P-256", "x": BASE64URL_NOPAD.encode(&point[1..33]), "y": BASE64URL_NOPAD.encode(&point[33..65]) })
}
