//! Managed identity, in the shapes of the virtual machine's metadata service and of App Service.

use super::mint;
use crate::{
    clock::Now,
    front::http::{Answer, Request},
    state::State,
    world::{Principal, World},
};
use serde_json::json;

/// `GET /metadata/identity/oauth2/token` with `Metadata: true`.
pub fn imds(req: &Request, state: &State, world: &World, now: Now) -> Answer {
    if req.header("metadata").is_none_or(|v| !v.eq_ignore_ascii_case("true")) {
        return refuse("invalid_request", "Required metadata header not specified");
    }
    give(req, state, world, now)
}

/// `GET /msi/token` with `X-IDENTITY-HEADER`, what `IDENTITY_ENDPOINT` points to.
pub fn app_service(req: &Request, state: &State, world: &World, now: Now) -> Answer {
    let wanted = world.managed_identity.identity_header.as_deref();
    let got = req.header("x-identity-header");
    if got.is_none() || wanted.is_some_and(|w| Some(w) != got) {
        return Answer::json(
            401,
            json!({"statusCode": 401, "message": "The X-IDENTITY-HEADER of the request isn't the secret of this app."}),
        );
    }
    give(req, state, world, now)
}

fn give(req: &Request, state: &State, world: &World, now: Now) -> Answer {
    let Some(resource) = req.param("resource").filter(|r| !r.is_empty()) else {
        return refuse("invalid_resource", "The parameter 'resource' is required");
    };
    let Some(principal) = find(req, state) else {
        return refuse("invalid_request", "Identity not found");
    };
    let base = req.base();
    let (token, lifetime) = mint(&principal, resource.trim_end_matches('/'), state, world, &base, now);
    let issued = now.real.as_second();
    Answer::json(
        200,
        json!({
            "access_token": token, "client_id": principal.client_id, "resource": resource, "token_type": "Bearer",
            "expires_in": lifetime.to_string(), "ext_expires_in": lifetime.to_string(),
            "expires_on": (issued + lifetime).to_string(), "not_before": issued.to_string(),
        }),
    )
}

/// The identity asked for by client id, object id or ARM id; the default one when none is named.
fn find(req: &Request, state: &State) -> Option<Principal> {
    let named = |names: &[&str]| names.iter().find_map(|n| req.param(n));
    let client = named(&["client_id"]);
    let object = named(&["object_id", "principal_id"]);
    let resource = named(&["mi_res_id", "msi_res_id"]);
    let same = |asked: &Option<String>, have: &str| asked.as_ref().is_none_or(|a| a.eq_ignore_ascii_case(have));
    let unnamed = client.is_none() && object.is_none() && resource.is_none();
    state
        .principals
        .values()
        .find(|p| {
            !p.disabled
                && p.managed.as_ref().is_some_and(|m| {
                    (m.default || !unnamed)
                        && same(&client, &p.client_id)
                        && same(&object, &p.object())
                        && same(&resource, m.resource_id.as_deref().unwrap_or_default())
                })
        })
        .cloned()
}

fn refuse(error: &str, text: &str) -> Answer {
    Answer::json(400, json!({"error": error, "error_description": text}))
}
