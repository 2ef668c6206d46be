//! Keyed hashes of secret values: enough to see that a value changed, useless to guess it by.
//!
//! Each hash carries the id of its key before a colon: hashes of different keys say nothing of each other.

use hmac::{Hmac, KeyInit, Mac};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use sha2::Sha256;
use tokio::sync::OnceCell;

/// Name of the Secret in the operator's namespace that holds the key.
const NAME: &str = "azureml-operator-hash-key";
const DATA: &str = "key";

/// Shortest key, in bytes. A shorter one could be guessed, and the values with it.
const SHORTEST_KEY: usize = 32;

/// Why a value can't be hashed.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// The API server failed.
    #[error(transparent)]
    Kubernetes(#[from] kube::Error),
    /// The Secret with the key has none, or one that is too short.
    #[error(
        "Secret {namespace}/{NAME} holds no key of at least {SHORTEST_KEY} bytes under {DATA:?}: delete it, and a new one \
         is made"
    )]
    NoKey {
        /// The operator's namespace.
        namespace: String,
    },
}

/// The key, read (or made) when it is first needed.
#[derive(Debug, Default)]
pub struct HashKey(OnceCell<Vec<u8>>);

impl HashKey {
    /// The id of the key and the keyed hash of a value, in hexadecimal.
    ///
    /// # Errors
    /// When the Secret with the key can't be read or made, or holds no good key.
    pub async fn hash(&self, client: &Client, namespace: &str, value: &str) -> Result<String, HashError> {
        let key = self.0.get_or_try_init(|| key(client, namespace)).await?;
        let id: String = keyed(key, "id of this key").chars().take(8).collect();
        Ok(format!("{id}:{}", keyed(key, value)))
    }
}

fn keyed(key: &[u8], value: &str) -> String {
    // HMAC takes keys of any length, so this can't fail.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(value.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn key(client: &Client, namespace: &str) -> Result<Vec<u8>, HashError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    if let Some(known) = api.get_opt(NAME).await? {
        return bytes(known, namespace);
    }
    let fresh: Vec<u8> = (0..2).flat_map(|_| uuid::Uuid::new_v4().into_bytes()).collect();
    let secret = Secret {
        metadata: ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() },
        data: Some([(DATA.to_owned(), ByteString(fresh.clone()))].into()),
        ..Secret::default()
    };
    match api.create(&PostParams::default(), &secret).await {
        Ok(_) => Ok(fresh),
        // Another replica was faster.
        Err(kube::Error::Api(status)) if status.is_already_exists() => bytes(api.get(NAME).await?, namespace),
        Err(error) => Err(error.into()),
    }
}

fn bytes(secret: Secret, namespace: &str) -> Result<Vec<u8>, HashError> {
    let key = secret.data.and_then(|mut data| data.remove(DATA)).map(|bytes| bytes.0).unwrap_or_default();
    if key.len() < SHORTEST_KEY {
        return Err(HashError::NoKey { namespace: namespace.to_owned() });
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_depend_on_key_and_value() {
        let hash = keyed(b"key", "value");
        assert_eq!(hash, keyed(b"key", "value"));
        assert_eq!(hash.len(), 64);
        assert!(hash != keyed(b"other", "value") && hash != keyed(b"key", "other"));
    }
}
