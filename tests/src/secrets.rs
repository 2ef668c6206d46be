//! No secret gets out: what the operator logged, traced, measured and wrote to the API server over the whole life of an
//! environment is searched for every secret value of that life. Each environment does this at its end.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use base64::prelude::*;
use serde_json::Value;

use crate::{Error, Result};

/// The API server's audit log in an environment's folder.
pub(crate) const AUDIT_LOG: &str = "audit.jsonl";
/// What the API server writes down there: Secrets as they were given, all that could give one away, and of the operator's
/// other requests what they were for.
pub(crate) const AUDIT_POLICY: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
  - level: Request
    verbs: [create, update, patch]
    resources:
      - {group: '', resources: [secrets, events, configmaps]}
      - {group: events.k8s.io}
      - {group: azureml.dev}
      - {group: coordination.k8s.io}
  - level: Metadata
    users: ['system:serviceaccount:azureml-system:azureml-operator']
  - level: None
";
/// Logs of programs that aren't the operator.
const OTHERS: [&str; 5] =
    ["kube-apiserver.log", "kube-controller-manager.log", "etcd.log", "azure-sim.log", "kustomize-controller.log"];
/// Members of a credential Secret that are no secret.
const PUBLIC: [&str; 2] = ["AZURE_TENANT_ID", "AZURE_CLIENT_ID"];
/// A shorter value could be anywhere by chance.
const SHORTEST: usize = 8;

/// The secret values of an environment's life: what each is, by its value.
#[derive(Debug, Default)]
pub struct Known(BTreeMap<String, String>);

impl Known {
    /// Takes in a value in each form that it could be told in; of a PEM file its private parts, and the file as a whole.
    pub fn add(&mut self, what: &str, value: &str) {
        if !value.contains("-----BEGIN") {
            return self.add_forms(what, value);
        }
        for key in value.split("-----BEGIN ").filter(|part| part.contains("PRIVATE KEY-----")) {
            self.add_forms(what, value);
            // The first and the last line are the same in every key.
            key.lines().skip(1).filter(|line| line.len() > 40).for_each(|line| self.add_forms(what, line));
        }
    }

    fn add_forms(&mut self, what: &str, value: &str) {
        for form in forms(value).into_iter().filter(|form| form.len() >= SHORTEST) {
            self.0.insert(form, what.to_owned());
        }
    }

    /// What of it a text holds, in words that don't give it away.
    pub fn find(&self, text: &str) -> Option<String> {
        let found = self.0.iter().find(|(value, _)| text.contains(value.as_str()));
        found.map(|(_, what)| what.clone()).or_else(|| holds_token(text).then(|| "a signed token".to_owned()))
    }
}

/// A value as it is and as it stands in other texts: in base64 of each alphabet, percent-encoded in a URL or a form, and
/// in JSON. In base64 without padding, since that with it begins so.
fn forms(value: &str) -> [String; 6] {
    let json = Value::from(value).to_string();
    let percent = percent_encoded(value);
    [
        value.to_owned(),
        BASE64_STANDARD_NO_PAD.encode(value),
        BASE64_URL_SAFE_NO_PAD.encode(value),
        percent.replace("%20", "+"),
        percent,
        json[1..json.len() - 1].to_owned(),
    ]
}

/// All but RFC 3986's unreserved characters as their bytes.
fn percent_encoded(value: &str) -> String {
    let byte = |byte: u8| match byte {
        b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    value.bytes().map(byte).collect()
}

/// Whether a text holds a JSON web token: header and claims, each the base64 of a JSON object.
fn holds_token(text: &str) -> bool {
    let token = |at: usize| {
        let part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let header = text[at..].trim_start_matches(part);
        header.starts_with(".eyJ")
    };
    text.match_indices("eyJ").any(|(at, _)| token(at))
}

/// Searches what the operators gave out: logs, metrics and what they wrote to the API server. Says how many places were
/// searched.
///
/// # Errors
/// [`Error::Invalid`] that names the secret and the place; or if the folder or its audit log can't be read.
pub fn search(dir: &Path, known: &mut Known) -> Result<usize> {
    let records = audit(dir)?;
    let of_secret = |record: &Value| record["objectRef"]["resource"] == "secrets";
    records.iter().filter(|record| of_secret(record)).for_each(|record| learn(known, record));

    let mut places = 0;
    for record in records.iter().filter(|record| !of_secret(record)) {
        let about = &record["objectRef"];
        let place = format!("{} of {}/{} {}", record["verb"], about["resource"], about["subresource"], about["name"]);
        refuse(known, &place, record["requestURI"].as_str().unwrap_or_default())?;
        // Of what is only read there is nothing else.
        if record["requestObject"].is_object() {
            refuse(known, &place, &record["requestObject"].to_string())?;
            places += 1;
        }
    }
    for entry in std::fs::read_dir(dir).map_err(Error::io(format!("read {}", dir.display())))? {
        let path = entry.map_err(Error::io(format!("read {}", dir.display())))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if name.ends_with(".log") && !OTHERS.contains(&name.as_str()) {
            refuse(known, &format!("the log {name}"), &read(&path)?)?;
            places += 1;
        }
    }
    Ok(places)
}

/// The audit log of an environment's folder.
///
/// # Errors
/// If it can't be read.
pub fn audit(dir: &Path) -> Result<Vec<Value>> {
    // The last line may be half written.
    Ok(read(&dir.join(AUDIT_LOG))?.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

fn read(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(Error::io(format!("read {}", path.display())))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn refuse(known: &Known, place: &str, text: &str) -> Result<()> {
    let found = known.find(text);
    found.map_or(Ok(()), |what| Err(Error::Invalid(format!("{place} gives away {what}"))))
}

/// Takes in the values of a Secret that somebody wrote.
fn learn(known: &mut Known, record: &Value) {
    let object = &record["requestObject"];
    for (member, encoded) in [("data", true), ("stringData", false)] {
        for (key, value) in object[member].as_object().into_iter().flatten() {
            let Some(value) = value.as_str().filter(|_| !PUBLIC.contains(&key.as_str())) else { continue };
            let what = format!("{key} of the Secret {}", record["objectRef"]["name"]);
            let text = BASE64_STANDARD.decode(value).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            match text.filter(|_| encoded) {
                Some(text) => known.add(&what, &text),
                // As given, or bytes that only base64 can tell.
                None => known.add(&what, value),
            }
        }
    }
}

/// Puts the metrics that a program serves now beside its log, to be searched at the end.
pub(crate) fn keep_metrics(log: &Path, address: &str) {
    let text = metrics(address);
    if !text.is_empty() {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(log.with_extension("metrics.log"));
        let _ = file.and_then(|mut file| file.write_all(text.as_bytes()));
    }
}

/// What a program serves at `/metrics`, asked without a runtime. Nothing if it doesn't answer.
fn metrics(address: &str) -> String {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(format!("GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    };
    ask().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TOKEN: &str = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln";

    /// A value that is another one in each form.
    const ODD: &str = "a\"b c?>~~/\\+";

    /// A folder as an environment leaves it, with one text in the operator's log and one request on the audit log.
    fn folder(name: &str, log: &str, request: &Value, metrics: &str) -> std::path::PathBuf {
        let dir = std::env::temp_dir().join(format!("azureml-secrets-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let secret = json!({
            "verb": "create", "objectRef": {"resource": "secrets", "name": "azure-sp"},
            "requestObject": {
                "stringData": {"AZURE_CLIENT_SECRET": "hunter22hunter", "odd": ODD},
                "data": {"password": "c2VzYW1lLW9wZW4="},
            }
        });
        let looked = json!({"verb": "get", "objectRef": {"resource": "namespaces"}, "level": "Metadata"});
        let other = json!({"verb": "update", "objectRef": {"resource": "events"}, "requestObject": request});
        std::fs::write(dir.join(AUDIT_LOG), format!("{secret}\n{looked}\n{other}\n")).unwrap();
        std::fs::write(dir.join("azureml-operator.log"), log).unwrap();
        std::fs::write(dir.join("azureml-operator.metrics.log"), metrics).unwrap();
        std::fs::write(dir.join("azure-sim.log"), "hunter22hunter").unwrap();
        dir
    }

    #[test]
    fn a_planted_secret_is_found_wherever_it_is() {
        let nothing = std::env::temp_dir();
        assert!(search(&nothing, &mut Known::default()).is_err(), "no audit log, nothing proven");
        let rows = [
            ("clean", "all is well", json!({"note": "well"}), "", None),
            ("log", "with hunter22hunter", json!({}), "", Some("azureml-operator.log")),
            ("decoded", "with sesame-open", json!({}), "", Some("password")),
            ("encoded", "with c2VzYW1lLW9wZW4=", json!({}), "", Some("password")),
            ("base64", "with aHVudGVyMjJodW50ZXI=", json!({}), "", Some("CLIENT_SECRET")),
            ("unpadded", "with aHVudGVyMjJodW50ZXI", json!({}), "", Some("CLIENT_SECRET")),
            ("odd", &format!("with {ODD}"), json!({}), "", Some("odd")),
            ("odd-base64", "with YSJiIGM/Pn5+L1wr", json!({}), "", Some("odd")),
            ("odd-base64url", "with YSJiIGM_Pn5-L1wr", json!({}), "", Some("odd")),
            ("odd-percent", "with ?x=a%22b%20c%3F%3E~~%2F%5C%2B", json!({}), "", Some("odd")),
            ("odd-form", "with x=a%22b+c%3F%3E~~%2F%5C%2B", json!({}), "", Some("odd")),
            ("odd-json", r#"with "a\"b c?>~~/\\+""#, json!({}), "", Some("odd")),
            ("odd-event", "", json!({"note": ODD}), "", Some("events")),
            ("event", "", json!({"note": "hunter22hunter"}), "", Some("events")),
            ("metric", "", json!({}), "a{b=\"hunter22hunter\"} 1", Some("metrics")),
            ("token", &format!("Bearer {TOKEN}"), json!({}), "", Some("signed token")),
            ("given", "the word is swordfish", json!({}), "", Some("a variable")),
        ];
        let planted = rows.len() - 1;
        for (name, log, request, metrics, expected) in rows {
            let dir = folder(name, log, &request, metrics);
            let mut known = Known::default();
            known.add("a variable", "swordfish");
            let searched = search(&dir, &mut known).map_err(|error| error.to_string());
            std::fs::remove_dir_all(&dir).unwrap();
            match expected {
                None => assert_eq!(searched, Ok(3)),
                Some(place) => {
                    let error = searched.unwrap_err();
                    assert!(error.contains(place), "{name}: {error}");
                    assert!(!error.contains("hunter22") && !error.contains("sesame"), "{error}");
                }
            }
        }
        azureml_promises::held("tests/src/secrets.rs::a_planted_secret_is_found_wherever_it_is", planted);
    }

    #[test]
    fn of_a_certificate_only_the_key_is_secret() {
        let line = "M".repeat(64);
        let key = "K".repeat(64);
        let pem = format!(
            "-----BEGIN CERTIFICATE-----\n{line}\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n"
        );
        let mut known = Known::default();
        known.add("pem", &pem);
        assert_eq!(known.find(&line), None);
        assert_eq!(known.find(&format!("x{key}")).as_deref(), Some("pem"));
        assert!(!holds_token("eyJhbGc.nothing") && holds_token(TOKEN));
    }
}
