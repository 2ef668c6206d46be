//! Kubeconfig files.

use std::path::Path;

use serde_json::json;

use crate::{Error, Result, files};

/// The text of a kubeconfig with one cluster and one user, who has a bearer token.
fn text(server: &str, ca: &Path, user: &str, token: &str, namespace: &str) -> Result<String> {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "azureml", "cluster": {"server": server, "certificate-authority": ca}}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "azureml", "context": {"cluster": "azureml", "user": user, "namespace": namespace}}],
        "current-context": "azureml",
    });
    serde_yaml_ng::to_string(&config).map_err(|error| Error::Invalid(format!("cannot write a kubeconfig: {error}")))
}

/// Writes a kubeconfig file.
pub(crate) fn write(path: &Path, server: &str, ca: &Path, user: &str, token: &str, namespace: &str) -> Result<()> {
    files::write_atomically(path, &text(server, ca, user, token, namespace)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubeconfig_is_one_that_a_client_reads() {
        let text = text("https://127.0.0.1:6443", Path::new("/x/ca.crt"), "admin", "t0ken", "default").unwrap();
        let config = kube::config::Kubeconfig::from_yaml(&text).unwrap();
        assert_eq!(config.current_context.as_deref(), Some("azureml"));
        let cluster = config.clusters[0].cluster.as_ref().unwrap();
        assert_eq!(cluster.server.as_deref(), Some("https://127.0.0.1:6443"));
        assert_eq!(cluster.certificate_authority.as_deref(), Some("/x/ca.crt"));
        assert!(config.auth_infos[0].auth_info.as_ref().unwrap().token.is_some());
    }
}
