//! No secret gets out: what the operator logged, traced, measured and wrote to the API server over the whole life of an
//! environment is searched for every secret value of that life. Each environment does this at its end.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::{Error, Result};

/// The API server's audit log in an environment's folder.
pub(crate) const AUDIT_LOG: &str = "audit.jsonl";
/// What the API server writes down there: Secrets as they were given, and all that could give one away.
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
  - level: None
";
/// Logs of programs that aren't the operator.
const OTHERS: [&str; 4] = ["kube-apiserver.log", "kube-controller-manager.log", "etcd.log", "azure-sim.log"];
/// Members of a credential Secret that are no secret.
const PUBLIC: [&str; 2] = ["AZURE_TENANT_ID", "AZURE_CLIENT_ID"];
/// A shorter value could be anywhere by chance.
const SHORTEST: usize = 8;

/// The secret values of an environment's life: what each is, by its value.
#[derive(Debug, Default)]
pub struct Known(BTreeMap<String, String>);

impl Known {
    /// Takes in a value; of a PEM file its private parts.
    pub fn add(&mut self, what: &str, value: &str) {
        if value.contains("-----BEGIN") {
            for key in value.split("-----BEGIN ").filter(|part| part.contains("PRIVATE KEY-----")) {
                // The first and the last line are the same in every key.
                let lines = key.lines().skip(1).filter(|line| line.len() > 40);
                lines.for_each(|line| drop(self.0.insert(line.to_owned(), what.to_owned())));
            }
        } else if value.len() >= SHORTEST {
            self.0.insert(value.to_owned(), what.to_owned());
        }
    }

    /// What of it a text holds, in words that don't give it away.
    pub fn find(&self, text: &str) -> Option<String> {
        let found = self.0.iter().find(|(value, _)| text.contains(value.as_str()));
        found.map(|(_, what)| what.clone()).or_else(|| holds_token(text).then(|| "a signed token".to_owned()))
    }
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
    let read = |path: &Path| {
        let bytes = std::fs::read(path).map_err(Error::io(format!("read {}", path.display())))?;
        Ok::<_, Error>(String::from_utf8_lossy(&bytes).into_owned())
    };
    let audit = dir.join(AUDIT_LOG);
    let records = read(&audit)?;
    // The last line may be half written.
    let records: Vec<Value> = records.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of_secret = |record: &Value| record["objectRef"]["resource"] == "secrets";
    records.iter().filter(|record| of_secret(record)).for_each(|record| learn(known, record));

    let mut places = 0;
    for record in records.iter().filter(|record| !of_secret(record)) {
        let about = &record["objectRef"];
        let place = format!("{} of {}/{} {}", record["verb"], about["resource"], about["subresource"], about["name"]);
        refuse(known, &place, &record["requestObject"].to_string())?;
        places += 1;
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

fn refuse(known: &Known, place: &str, text: &str) -> Result<()> {
    let found = known.find(text);
    found.map_or(Ok(()), |what| Err(Error::Invalid(format!("{place} gives away {what}"))))
}

/// Takes in the values of a Secret that somebody wrote.
fn learn(known: &mut Known, record: &Value) {
    let object = &record["requestObject"];
    for (member, decode) in [("data", true), ("stringData", false)] {
        for (key, value) in object[member].as_object().into_iter().flatten() {
            let Some(value) = value.as_str().filter(|_| !PUBLIC.contains(&key.as_str())) else { continue };
            let what = format!("{key} of the Secret {}", record["objectRef"]["name"]);
            known.add(&what, value);
            if decode && let Ok(bytes) = serde_json::from_value::<k8s_openapi::ByteString>(Value::from(value)) {
                known.add(&what, &String::from_utf8_lossy(&bytes.0));
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

    /// A folder as an environment leaves it, with one text in the operator's log and one request on the audit log.
    fn folder(name: &str, log: &str, request: &Value, metrics: &str) -> std::path::PathBuf {
        let dir = std::env::temp_dir().join(format!("azureml-secrets-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let secret = json!({
            "verb": "create", "objectRef": {"resource": "secrets", "name": "azure-sp"},
            "requestObject": {"stringData": {"AZURE_CLIENT_SECRET": "hunter22hunter"}, "data": {"password": "c2VzYW1lLW9wZW4="}}
        });
        let other = json!({"verb": "update", "objectRef": {"resource": "events"}, "requestObject": request});
        std::fs::write(dir.join(AUDIT_LOG), format!("{secret}\n{other}\n")).unwrap();
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
