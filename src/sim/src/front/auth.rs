//! Bearer tokens: whether this Azure issued one, for whom, for what, and whether it still counts.

use super::{
    http::Request,
    refusal::{Outcome, Refusal},
};
use crate::{
    clock::Now,
    entra::jwt,
    state::State,
    world::{Principal, Tokens},
};
use jiff::Timestamp;
use serde_json::Value;

/// Find out who asks.
///
/// # Errors
/// 401 in ARM's words: no token, not ours, expired, revoked, or for another audience.
pub fn authenticate(req: &Request, state: &State, tokens: &Tokens, now: Now) -> Outcome<Principal> {
    let header = req.header("authorization").ok_or_else(|| {
        refuse("AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.", req)
    })?;
    let token = header
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(|| {
            refuse(
                "AuthenticationFailedInvalidHeader",
                "Authentication failed. The 'Authorization' header is provided in an invalid format.",
                req,
            )
        })?;
    let claims = jwt::open(token, state.token_key.as_bytes())
        .ok_or_else(|| refuse("InvalidAuthenticationToken", "The access token is invalid.", req))?;
    let number = |name: &str| claims[name].as_i64().unwrap_or(0);
    if number("exp") <= now.real.as_second() {
        let expiry = Timestamp::from_second(number("exp")).unwrap_or(Timestamp::UNIX_EPOCH);
        return Err(refuse(
            "ExpiredAuthenticationToken",
            &format!(
                "The access token expiry UTC time '{}' is earlier than current UTC time '{}'.",
                expiry.strftime("%m/%d/%Y %I:%M:%S %p"),
                now.real.strftime("%m/%d/%Y %I:%M:%S %p")
            ),
            req,
        ));
    }
    check_audience(&claims, tokens, req)?;
    let client = claims["appid"].as_str().unwrap_or_default();
    let principal = state
        .principals
        .get(client)
        .ok_or_else(|| refuse("InvalidAuthenticationToken", "The access token's application no longer exists.", req))?;
    let issued = claims["iat_ms"].as_i64().unwrap_or(0);
    if principal.revoked_before.is_some_and(|at| issued < at.as_millisecond()) {
        return Err(refuse("InvalidAuthenticationToken", "The access token has been revoked.", req));
    }
    Ok(principal.clone())
}

fn check_audience(claims: &Value, tokens: &Tokens, req: &Request) -> Outcome<()> {
    let audience = claims["aud"].as_str().unwrap_or_default();
    let own = req.base();
    let mut accepted = tokens.audiences.iter().map(String::as_str).chain([own.as_str()]);
    if accepted.any(|a| jwt::same_resource(a, audience)) {
        return Ok(());
    }
    Err(refuse(
        "InvalidAuthenticationTokenAudience",
        &format!(
            "The access token has been obtained for wrong audience or resource '{audience}'. It should exactly match \
             with one of the allowed audiences '{}'.",
            tokens.audiences.join("','")
        ),
        req,
    ))
}

fn refuse(code: &str, message: &str, req: &Request) -> Refusal {
    Refusal::arm(401, code, message).with(
        "WWW-Authenticate",
        format!(
            "Bearer authorization_uri=\"{}/common\", error=\"invalid_token\", error_description=\"{message}\"",
            req.base()
        ),
    )
}
