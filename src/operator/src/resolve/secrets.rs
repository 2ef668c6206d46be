//! Secret values that a manifest refers to. They live only until the write that they are for.

use std::collections::BTreeMap;

use azureml_api::condition::Reason;
use azureml_api::fields::{FieldTable, lookup};
use azureml_api::registry::{Common, SecretUse};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::context::Context;
use crate::failure::Problem;
use crate::resolve::ResolveError;

/// The secret values of a manifest, by path, and the keyed hashes of all its write-only values.
#[derive(Debug, Default)]
pub struct Secrets {
    /// Values from Secrets, by path of the reference.
    pub values: BTreeMap<&'static str, SecretString>,
    /// Keyed hashes, by path.
    pub hashes: BTreeMap<String, String>,
}

/// Reads and hashes a manifest's write-only values.
///
/// # Errors
/// When a Secret or a key in it is missing.
pub async fn resolve(
    ctx: &Context,
    namespace: &str,
    manifest: &Value,
    table: &FieldTable,
    common: &Common,
) -> Result<Secrets, ResolveError> {
    let mut secrets = Secrets::default();
    for used in &common.secrets {
        let value = read(ctx, namespace, used).await?;
        secrets.values.insert(used.path, value);
    }
    for field in table.fields.iter().filter(|field| field.is_write_only()) {
        let value = match secrets.values.get(field.manifest) {
            Some(secret) => secret.expose_secret().to_owned(),
            None => match lookup(manifest, field.manifest) {
                Some(plain) => plain.to_string(),
                None => continue,
            },
        };
        let hash = ctx.hash_key.hash(&ctx.client, &ctx.settings.namespace, &value).await?;
        secrets.hashes.insert(field.manifest.to_owned(), hash);
    }
    Ok(secrets)
}

async fn read(ctx: &Context, namespace: &str, used: &SecretUse) -> Result<SecretString, ResolveError> {
    let api: Api<Secret> = Api::namespaced(ctx.client.clone(), namespace);
    let missing = |what: String| Problem::blocked(Reason::SecretNotFound, format!("{}: {what}", used.path));
    let Some(secret) = api.get_opt(&used.name).await? else {
        return Err(missing(format!("Secret {namespace}/{} doesn't exist: create it", used.name)).into());
    };
    let bytes = secret.data.as_ref().and_then(|data| data.get(&used.key));
    let text = bytes.and_then(|bytes| String::from_utf8(bytes.0.clone()).ok()).filter(|text| !text.is_empty());
    match text {
        Some(text) => Ok(SecretString::from(text)),
        None => Err(missing(format!("Secret {namespace}/{} has no text under key {}", used.name, used.key)).into()),
    }
}
