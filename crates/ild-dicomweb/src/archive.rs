//! One request and its answer.

use std::time::Duration;

use serde_json::Value;
use ureq::http::Response;
use ureq::tls::TlsConfig;
use ureq::{Agent, Body};

use crate::{Access, Error, Result};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(30);
/// How long the archive may think, and be silent within an answer.
const ANSWER: Duration = Duration::from_secs(300);
/// Of an answer that is no image.
const LARGEST_JSON_BYTES: u64 = 64 << 20;
/// How much of an archive's complaint is shown.
const SHOWN_LETTERS: usize = 300;

/// DICOM's JSON (PS3.18 F).
const DICOM_JSON: &str = "application/dicom+json";

/// An archive that can be asked.
pub struct Archive {
    agent: Agent,
    base: String,
    authorization: Option<String>,
}

impl Archive {
    /// Prepares; nothing is sent yet.
    ///
    /// # Errors
    /// When the address, the token or the certificates do not do.
    pub fn new(access: &Access) -> Result<Self> {
        let tls = TlsConfig::builder().root_certs(access.roots()?).build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .proxy(None)
            .max_redirects(0)
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(ANSWER))
            .user_agent(concat!("ild/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self {
            agent: config.new_agent(),
            base: access.base()?,
            authorization: access.authorization()?,
        })
    }

    /// Asks for `path`; `parameters` come behind the `?`.
    pub(crate) fn get(
        &self,
        path: &str,
        parameters: &[(&str, &str)],
        accept: &str,
    ) -> Result<(String, Response<Body>)> {
        let address = format!("{}{path}", self.base);
        let mut request = self.agent.get(&address).header("Accept", accept);
        for (name, value) in parameters {
            request = request.query(name, value);
        }
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let answer = request.call();
        let answer = answer.map_err(|error| no_answer(&address, error))?;
        succeeded(&address, answer).map(|answer| (address, answer))
    }

    /// What the archive says of `path`; a list.
    pub(crate) fn rows(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Vec<Value>> {
        let (address, answer) = self.get(path, parameters, DICOM_JSON)?;
        // Nothing found is no content (PS3.18 8.3.4.4).
        if answer.status().as_u16() == 204 {
            return Ok(Vec::new());
        }
        match json(&address, answer)? {
            Value::Array(rows) => Ok(rows),
            other => Err(Error::broken(&address, format!("a list was expected, not {other}"))),
        }
    }

    /// Sends a body to `path`.
    pub(crate) fn post(&self, path: &str, kind: &str, body: &[u8]) -> Result<(String, Value)> {
        let address = format!("{}{path}", self.base);
        let mut request = self.agent.post(&address).header("Accept", DICOM_JSON).content_type(kind);
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let answer = request.send(body);
        let answer = answer.map_err(|error| no_answer(&address, error))?;
        // 409: none of the instances was stored, and the answer says why (PS3.18 10.5.3).
        let answer = match answer.status().as_u16() {
            409 => answer,
            _ => succeeded(&address, answer)?,
        };
        let value = json(&address, answer)?;
        Ok((address, value))
    }
}

/// Nobody answered, or somebody who is not believed.
fn no_answer(address: &str, error: ureq::Error) -> Error {
    let what = match error.to_string().contains("certificate") {
        true => {
            "the archive's certificate is not believed; --certificates FILE names the authority that \
                 vouches for it"
        }
        false => "no answer",
    };
    Error::of(address, what, error)
}

fn json(address: &str, mut answer: Response<Body>) -> Result<Value> {
    let text = answer.body_mut().with_config().limit(LARGEST_JSON_BYTES).read_to_vec();
    let text = text.map_err(|error| Error::of(address, "the answer broke off", error))?;
    if text.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&text)
        .map_err(|error| Error::of(address, "an answer that is no JSON", error))
}

fn succeeded(address: &str, mut answer: Response<Body>) -> Result<Response<Body>> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let said =
        answer.body_mut().with_config().limit(LARGEST_JSON_BYTES).lossy_utf8(true).read_to_string();
    let said = said.ok().map(|said| said.split_whitespace().collect::<Vec<_>>().join(" "));
    let next = match status.as_u16() {
        300..=399 => {
            Some("it sends elsewhere, which is not followed: name that address".to_owned())
        }
        401 | 403 => Some("it wants to know who asks: --token-file".to_owned()),
        _ => said
            .filter(|said| !said.is_empty())
            .map(|said| said.chars().take(SHOWN_LETTERS).collect()),
    };
    Err(Error::Status { address: address.to_owned(), status: status.as_u16(), said: next })
}

/// The first value of an attribute in DICOM's JSON, as text.
pub(crate) fn text(row: &Value, tag: &str) -> Option<String> {
    match &row[tag]["Value"][0] {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
