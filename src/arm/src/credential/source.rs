//! Where tokens come from: azure_identity's credentials over our HTTP client.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::{Secret, TokenCredential};
use azure_core::error::{Error as AzureError, ErrorKind as AzureErrorKind};
use azure_core::http::{ClientMethodOptions, ClientOptions, RetryOptions, Transport};
use azure_identity::{
    AzureCliCredential, AzureCliCredentialOptions, ClientAssertion, ClientAssertionCredential,
    ClientAssertionCredentialOptions, ClientSecretCredential, ClientSecretCredentialOptions, ManagedIdentityCredential,
    ManagedIdentityCredentialOptions, UserAssignedId,
};
use jiff::Timestamp;
use secrecy::ExposeSecret;

use super::{Certificate, CredentialConfig, CredentialError, Token, certificate, failure};
use crate::{ArmError, Cloud, HttpClient};

/// Asks for tokens. It is made anew to forget what azure_identity keeps, which has no
/// other way to drop a token before its time.
pub(super) struct Source {
    config: CredentialConfig,
    cloud: Cloud,
    http: HttpClient,
    current: RwLock<Arc<dyn TokenCredential>>,
}

impl Source {
    pub fn new(config: CredentialConfig, cloud: &Cloud, http: HttpClient) -> Result<Self, CredentialError> {
        let current = make(&config, cloud, &http).map_err(|error| CredentialError::Unusable {
            kind: config.kind(),
            reason: config.strike_out(&error.to_string()),
        })?;
        Ok(Self { config, cloud: cloud.clone(), http, current: RwLock::new(current) })
    }

    pub fn kind(&self) -> &'static str {
        self.config.kind()
    }

    pub async fn ask(&self) -> Result<Token, ArmError> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        let scope = self.cloud.scope();
        match current.get_token(&[&scope], None).await {
            Ok(token) => Ok(Token { secret: token.token.secret().to_owned().into(), expires: token.expires_on.into() }),
            Err(error) => Err(failure::read(&error, &self.config)),
        }
    }

    pub fn forget(&self) {
        // The same configuration was made before, so it can be made again.
        if let Ok(anew) = make(&self.config, &self.cloud, &self.http) {
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = anew;
        }
    }
}

fn make(config: &CredentialConfig, cloud: &Cloud, http: &HttpClient) -> azure_core::Result<Arc<dyn TokenCredential>> {
    Ok(match config {
        CredentialConfig::ClientSecret { tenant_id, client_id, secret } => {
            let options = ClientSecretCredentialOptions { client_options: options(cloud, http.for_entra()) };
            let secret = Secret::new(secret.expose_secret().to_owned());
            ClientSecretCredential::new(tenant_id, client_id.clone(), secret, Some(options))?
        }
        CredentialConfig::FederatedToken { tenant_id, client_id, token_file } => {
            let options = ClientAssertionCredentialOptions { client_options: options(cloud, http.for_entra()) };
            ClientAssertionCredential::new(
                tenant_id.clone(),
                client_id.clone(),
                TokenFile(token_file.clone()),
                Some(options),
            )?
        }
        CredentialConfig::ClientCertificate { tenant_id, client_id, certificate } => {
            let options = ClientAssertionCredentialOptions { client_options: options(cloud, http.for_entra()) };
            let proof = SignedAssertion {
                certificate: certificate.clone(),
                client_id: client_id.clone(),
                audience: cloud.token_endpoint(tenant_id),
            };
            ClientAssertionCredential::new(tenant_id.clone(), client_id.clone(), proof, Some(options))?
        }
        CredentialConfig::ManagedIdentity { client_id } => {
            ManagedIdentityCredential::new(Some(ManagedIdentityCredentialOptions {
                user_assigned_id: client_id.clone().map(UserAssignedId::ClientId),
                client_options: options(cloud, http.for_managed_identity()),
            }))?
        }
        CredentialConfig::AzureCli { tenant_id } => AzureCliCredential::new(Some(AzureCliCredentialOptions {
            tenant_id: tenant_id.clone(),
            ..AzureCliCredentialOptions::default()
        }))?,
    })
}

fn options(cloud: &Cloud, http: Arc<dyn azure_core::http::HttpClient>) -> ClientOptions {
    let mut custom = CustomConfiguration::default();
    custom.authority_host = cloud.authority_host.to_string();
    ClientOptions {
        // Who asks for a token decides when to ask again.
        retry: RetryOptions::none(),
        transport: Some(Transport::new(http)),
        cloud: Some(Arc::new(CloudConfiguration::Custom(custom))),
        ..ClientOptions::default()
    }
}

/// What a certificate proves, signed anew for each use.
#[derive(Debug)]
struct SignedAssertion {
    certificate: Certificate,
    client_id: String,
    audience: String,
}

#[async_trait]
impl ClientAssertion for SignedAssertion {
    async fn secret(&self, _: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        let signed = certificate::assertion(&self.certificate, &self.client_id, &self.audience, Timestamp::now()).await;
        signed.map_err(|error| AzureError::new(AzureErrorKind::Credential, error))
    }
}

/// A service account token, read for each use: the kubelet replaces it long before it
/// expires, and azure_identity's own credential would keep it for ten minutes.
#[derive(Debug)]
struct TokenFile(PathBuf);

#[async_trait]
impl ClientAssertion for TokenFile {
    async fn secret(&self, _: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        let unreadable = |reason: String| {
            let file = self.0.display();
            let message = format!("{}{file}: {reason}", failure::TOKEN_FILE);
            AzureError::with_message(AzureErrorKind::Credential, message)
        };
        let text = tokio::fs::read_to_string(&self.0).await.map_err(|error| unreadable(error.to_string()))?;
        match text.trim() {
            "" => Err(unreadable("the file is empty".to_owned())),
            token => Ok(token.to_owned()),
        }
    }
}
