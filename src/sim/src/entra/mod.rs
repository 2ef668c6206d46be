//! Entra ID: the token endpoint, its discovery documents and the managed-identity endpoints.

mod certificate;
pub mod jwt;
mod managed;
mod token;

use crate::{
    clock::Now,
    front::http::{Answer, Request},
    state::State,
    world::{Principal, World},
};
use serde_json::{Value, json};

/// Answer a request for Entra or for a managed identity; `None` when the path is neither's.
pub fn serve(req: &Request, state: &State, world: &World, now: Now) -> Option<Answer> {
    let path = req.path.trim_matches('/').to_ascii_lowercase();
    let segments: Vec<&str> = path.split('/').collect();
    Some(match segments.as_slice() {
        [tenant, "oauth2", "v2.0", "token"] | [tenant, "oauth2", "token"] => {
            token::grant(req, tenant, state, world, now)
        }
        [tenant, "v2.0", ".well-known", "openid-configuration"] | [tenant, ".well-known", "openid-configuration"] => {
            openid(req, tenant)
        }
        [_, "discovery", "v2.0", "keys"] | [_, "discovery", "keys"] => Answer::json(200, json!({"keys": []})),
        ["common", "discovery", "instance"] => discovery(req),
        ["metadata", "identity", "oauth2", "token"] => managed::imds(req, state, world, now),
        ["msi", "token"] => managed::app_service(req, state, world, now),
        _ => return None,
    })
}

/// True for the paths that may come over plain HTTP.
pub fn is_managed_identity(path: &str) -> bool {
    let path = path.trim_matches('/').to_ascii_lowercase();
    path == "metadata/identity/oauth2/token" || path == "msi/token"
}

fn openid(req: &Request, tenant: &str) -> Answer {
    let base = format!("{}/{tenant}", req.base());
    Answer::json(
        200,
        json!({
            "token_endpoint": format!("{base}/oauth2/v2.0/token"),
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
            "jwks_uri": format!("{base}/discovery/v2.0/keys"),
            "response_modes_supported": ["query", "fragment", "form_post"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "issuer": format!("{base}/v2.0"),
            "authorization_endpoint": format!("{base}/oauth2/v2.0/authorize"),
            "device_authorization_endpoint": format!("{base}/oauth2/v2.0/devicecode"),
            "end_session_endpoint": format!("{base}/oauth2/v2.0/logout"),
            "tenant_region_scope": "EU",
            "cloud_instance_name": "microsoftonline.com",
        }),
    )
}

fn discovery(req: &Request) -> Answer {
    let host = req.header("host").unwrap_or("localhost");
    let asked = req.param("authorization_endpoint").unwrap_or_default();
    let tenant = asked.split('/').nth(3).unwrap_or("common").to_string();
    Answer::json(
        200,
        json!({
            "tenant_discovery_endpoint": format!("https://{host}/{tenant}/v2.0/.well-known/openid-configuration"),
            "api-version": "1.1",
            "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
        }),
    )
}

/// An access token for `principal` and its lifetime in seconds.
fn mint(principal: &Principal, audience: &str, state: &State, world: &World, base: &str, now: Now) -> (String, i64) {
    let lifetime = world.tokens.lifetime.0.as_secs();
    let iat = now.real.as_second();
    let claims: Value = json!({
        "aud": audience,
        "iss": format!("{base}/{}/v2.0", principal.tenant),
        "iat": iat, "nbf": iat, "exp": iat + lifetime,
        "iat_ms": now.real.as_millisecond(),
        "appid": principal.client_id.to_ascii_lowercase(),
        "azp": principal.client_id, "oid": principal.object(), "sub": principal.object(),
        "tid": principal.tenant, "idtyp": "app", "ver": "2.0", // Not from the dice: signing in must not change what later writes get.
        "uti": crate::dice::guid_for(&format!("{}{}", principal.client_id, now.real)),
    });
    (jwt::seal(&claims, state.token_key.as_bytes()), lifetime)
}

/// True for the paths that [`serve`] answers.
pub fn serves(path: &str) -> bool {
    let path = path.trim_matches('/').to_ascii_lowercase();
    path.ends_with("/oauth2/v2.0/token") || path.ends_with("/oauth2/token") || path == "msi/token"
}
