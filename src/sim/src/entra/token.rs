//! `POST /{tenant}/oauth2/v2.0/token` with grant `client_credentials`.

use super::{certificate, jwt, jwt::Assertion, mint};
use crate::{
    clock::{Now, arm_time},
    dice::guid_for,
    front::http::{Answer, Request, pairs},
    state::State,
    world::{Federated, Principal, World},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Audience of federated credentials when the world names none.
const EXCHANGE: &str = "api://AzureADTokenExchange";

/// Resources beside ARM for which tokens are given, so that a wrong audience can be tried.
const OTHER_RESOURCES: &[&str] =
    &["https://graph.microsoft.com", "https://ml.azure.com", "https://vault.azure.net", "https://storage.azure.com"];

/// OpenID's scopes, which name no resource.
const OPENID: &[&str] = &["openid", "profile", "offline_access", "email"];

/// A refusal: AADSTS number, status, OAuth error, text.
pub struct Denied(pub u32, pub u16, pub &'static str, pub String);

/// Grant a token or answer with an AADSTS error.
pub fn grant(req: &Request, tenant: &str, state: &State, world: &World, now: Now) -> Answer {
    if req.method != "POST" {
        return Answer::empty(405).with("Allow", "POST");
    }
    let form: BTreeMap<String, String> = pairs(&String::from_utf8_lossy(&req.body)).collect();
    match decide(&form, tenant, state, world, &req.base(), now) {
        Ok((principal, audience)) => {
            let (token, lifetime) = mint(&principal, &audience, state, world, &req.base(), now);
            Answer::json(
                200,
                json!({
                    "token_type": "Bearer", "expires_in": lifetime, "ext_expires_in": lifetime, "access_token": token,
                }),
            )
            .with("Cache-Control", "no-store, no-cache")
        }
        Err(denied) => error(&denied, now),
    }
}

fn decide(
    form: &BTreeMap<String, String>,
    tenant: &str,
    state: &State,
    world: &World,
    own: &str,
    now: Now,
) -> Result<(Principal, String), Denied> {
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let known_tenant =
        state.principals.values().map(|p| &p.tenant).chain(state.subscriptions.values().map(|s| &s.tenant));
    if !known_tenant.into_iter().any(|t| t.eq_ignore_ascii_case(tenant)) {
        return Err(Denied(
            90002,
            400,
            "invalid_request",
            format!(
                "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud."
            ),
        ));
    }
    if field("grant_type") != "client_credentials" {
        return Err(Denied(
            70003,
            400,
            "unsupported_grant_type",
            format!("The app requested an unsupported grant type '{}'.", field("grant_type")),
        ));
    }
    let client = field("client_id");
    let principal = state
        .principals
        .get(&client.to_ascii_lowercase())
        .filter(|p| p.tenant.eq_ignore_ascii_case(tenant))
        .ok_or_else(|| {
            Denied(700016, 400, "unauthorized_client", format!("Application with identifier '{client}' was not found in the directory '{tenant}'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant."))
        })?;
    let audience = audience(form, world, own)?;
    if principal.disabled {
        let text = format!("Application '{client}'({}) is disabled.", principal.name.as_deref().unwrap_or(client));
        return Err(Denied(7000112, 400, "unauthorized_client", text));
    }
    match (field("client_secret"), field("client_assertion")) {
        ("", "") => Err(Denied(
            7000216,
            401,
            "invalid_client",
            "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type."
                .into(),
        )),
        ("", assertion) => check_assertion(principal, assertion, &format!("{own}/{tenant}"), now),
        (secret, _) => check_secret(principal, secret),
    }?;
    Ok((principal.clone(), audience))
}

fn audience(form: &BTreeMap<String, String>, world: &World, own: &str) -> Result<String, Denied> {
    let asked = match (form.get("scope"), form.get("resource")) {
        (Some(scope), _) => resource_of(scope).ok_or_else(|| {
            Denied(1002012, 400, "invalid_scope", format!("The provided value for scope {scope} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI)."))
        })?,
        (None, Some(resource)) => resource,
        (None, None) => {
            return Err(Denied(900144, 400, "invalid_request", "The request body must contain the following parameter: 'scope'.".into()));
        }
    };
    // This service's own address is an audience too: clients that are pointed here may derive it from the endpoint.
    let known = world.tokens.audiences.iter().map(String::as_str).chain(OTHER_RESOURCES.iter().copied()).chain([own]);
    if known.into_iter().any(|k| jwt::same_resource(k, asked)) {
        return Ok(asked.trim_end_matches('/').into());
    }
    Err(Denied(
        500011,
        400,
        "invalid_resource",
        format!(
            "The resource principal named {asked} was not found in the tenant. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant."
        ),
    ))
}

/// The resource of a scope. Microsoft's sign-in libraries add OpenID's own scopes to every request: they mean nothing here.
fn resource_of(scope: &str) -> Option<&str> {
    let mut others = scope.split(' ').filter(|s| !s.is_empty() && !OPENID.contains(s));
    others.next().filter(|_| others.next().is_none())?.strip_suffix("/.default")
}

fn check_secret(principal: &Principal, secret: &str) -> Result<(), Denied> {
    if principal.secret.as_deref() != Some(secret) {
        return Err(Denied(
            7000215,
            401,
            "invalid_client",
            format!(
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{}'.",
                principal.client_id
            ),
        ));
    }
    if principal.secret_expired {
        return Err(Denied(
            7000222,
            401,
            "invalid_client",
            format!(
                "The provided client secret keys for app '{}' are expired. Visit the Azure portal to create new keys for your app.",
                principal.client_id
            ),
        ));
    }
    Ok(())
}

fn check_assertion(principal: &Principal, token: &str, endpoint: &str, now: Now) -> Result<(), Denied> {
    let invalid = |number, text: String| Denied(number, 401, "invalid_client", text);
    let assertion =
        Assertion::parse(token).ok_or_else(|| invalid(50027, "JWT token is invalid or malformed.".into()))?;
    if certificate::is_by_certificate(principal, &assertion) {
        return certificate::check(principal, &assertion, endpoint, now);
    }
    let credential = matching(principal, &assertion)?;
    let time = |name: &str| assertion.claims[name].as_i64();
    let second = now.real.as_second();
    if time("exp").is_none_or(|exp| exp <= second) || time("nbf").is_some_and(|nbf| nbf > second + 300) {
        return Err(invalid(
            700024,
            format!(
                "Client assertion is not within its valid time range. Current time: {}, expiry time of assertion {}.",
                arm_time(now.real),
                assertion.claims["exp"]
            ),
        ));
    }
    if credential.jwks.as_ref().is_some_and(|jwks| !assertion.signed_by(jwks)) {
        return Err(invalid(
            50027,
            "JWT token is invalid or malformed: its signature doesn't match any key of its issuer.".into(),
        ));
    }
    Ok(())
}

/// The federated credential that fits issuer, then subject, then audience; each miss has its own number.
fn matching<'a>(principal: &'a Principal, assertion: &Assertion) -> Result<&'a Federated, Denied> {
    let claim = |name: &str| assertion.claims[name].as_str().unwrap_or_default();
    let none = |number, what: &str, got: &str| {
        Err(Denied(
            number,
            401,
            "invalid_client",
            format!(
                "No matching federated identity record found for presented assertion {what} '{got}'. Check your federated identity credential Subject, Audience and Issuer against the presented assertion."
            ),
        ))
    };
    if principal.federated.is_empty() {
        return none(70021, "issuer", claim("iss"));
    }
    let of_issuer: Vec<&Federated> = principal.federated.iter().filter(|f| f.issuer == claim("iss")).collect();
    if of_issuer.is_empty() {
        return none(700211, "issuer", claim("iss"));
    }
    let of_subject: Vec<&Federated> = of_issuer.into_iter().filter(|f| f.subject == claim("sub")).collect();
    if of_subject.is_empty() {
        return none(700213, "subject", claim("sub"));
    }
    let audiences: Vec<&str> = match &assertion.claims["aud"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let fits = |f: &&Federated| audiences.contains(&f.audience.as_deref().unwrap_or(EXCHANGE));
    match of_subject.into_iter().find(fits) {
        Some(found) => Ok(found),
        None => none(700212, "audience", audiences.first().copied().unwrap_or_default()),
    }
}

fn error(denied: &Denied, now: Now) -> Answer {
    let Denied(number, status, error, text) = denied;
    let (trace, correlation) = (guid_for(&format!("trace{text}")), guid_for(&format!("correlation{text}")));
    let stamp = now.real.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
    Answer::json(
        *status,
        json!({
            "error": error,
            "error_description":
                format!("AADSTS{number}: {text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {stamp}"),
            "error_codes": [number],
            "timestamp": stamp, "trace_id": trace, "correlation_id": correlation,
            "error_uri": format!("https://login.microsoftonline.com/error?code={number}"),
        }),
    )
}
