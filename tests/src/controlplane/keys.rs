//! The keys of one control plane: a CA with the API server's certificate, and the pair that signs service account tokens.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use crate::{Error, Result};

/// Paths of PEM files.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    /// The certificate that clients trust.
    pub(crate) ca: PathBuf,
    /// The API server's certificate, and its key.
    pub(crate) serving: PathBuf,
    pub(crate) serving_key: PathBuf,
    /// Signs service account tokens, and proves them.
    pub(crate) accounts_key: PathBuf,
    pub(crate) accounts_public: PathBuf,
}

impl Keys {
    /// Makes fresh keys and writes them into the folder.
    pub(crate) fn make(dir: &Path) -> Result<Self> {
        let pem = Pem::make().map_err(|error| Error::Invalid(format!("cannot make certificates: {error}")))?;
        let write = |name: &str, text: String| {
            let path = dir.join(name);
            std::fs::write(&path, text).map_err(Error::io(format!("write {}", path.display())))?;
            Ok(path)
        };
        Ok(Keys {
            ca: write("ca.crt", pem.ca)?,
            serving: write("apiserver.crt", pem.serving)?,
            serving_key: write("apiserver.key", pem.serving_key)?,
            accounts_key: write("sa.key", pem.accounts_key)?,
            accounts_public: write("sa.pub", pem.accounts_public)?,
        })
    }
}

struct Pem {
    ca: String,
    serving: String,
    serving_key: String,
    accounts_key: String,
    accounts_public: String,
}

impl Pem {
    fn make() -> Result<Self, rcgen::Error> {
        let ca_key = KeyPair::generate()?;
        let mut ca = CertificateParams::new(Vec::new())?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
        ca.distinguished_name.push(DnType::CommonName, "azureml-tests");
        let ca_pem = ca.self_signed(&ca_key)?.pem();
        let issuer = Issuer::new(ca, ca_key);

        let serving_key = KeyPair::generate()?;
        // The service's names too: in-cluster clients and the API server's own loopback client use them.
        let names = ["127.0.0.1", "localhost", "kubernetes.default.svc", "10.0.0.1"].map(String::from);
        let mut serving = CertificateParams::new(names)?;
        serving.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        serving.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        serving.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        serving.use_authority_key_identifier_extension = true;
        let serving_pem = serving.signed_by(&serving_key, &issuer)?.pem();

        let accounts = KeyPair::generate()?;
        Ok(Pem {
            ca: ca_pem,
            serving: serving_pem,
            serving_key: serving_key.serialize_pem(),
            accounts_key: accounts.serialize_pem(),
            accounts_public: accounts.public_key_pem(),
        })
    }
}
