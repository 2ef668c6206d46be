//! Keyed hashes of secret values: enough to see that a value changed, useless to guess it by.

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

/// The key, read (or made) when it is first needed.
#[derive(Debug, Default)]
pub struct HashKey(OnceCell<Vec<u8>>);

impl HashKey {
    /// The keyed hash of a value, in hexadecimal.
    ///
    /// # Errors
    /// When the Secret with the key can't be read or made.
    pub async fn hash(&self, client: &Client, namespace: &str, value: &str) -> Result<String, kube::Error> {
        let key = self.0.get_or_try_init(|| key(client, namespace)).await?;
        Ok(keyed(key, value))
    }
}

fn keyed(key: &[u8], value: &str) -> String {
    // HMAC takes keys of any length, so this can't fail.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(value.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn key(client: &Client, namespace: &str) -> Result<Vec<u8>, kube::Error> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    if let Some(known) = api.get_opt(NAME).await? {
        return Ok(bytes(known));
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
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(bytes(api.get(NAME).await?)),
        Err(error) => Err(error),
    }
}

fn bytes(secret: Secret) -> Vec<u8> {
    secret.data.and_then(|mut data| data.remove(DATA)).map(|bytes| bytes.0).unwrap_or_default()
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
