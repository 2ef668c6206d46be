//! Long-running operations: their signed URLs, and what is found there.

use crate::{
    clock::wire_time,
    dice::sign,
    front::{
        http::Answer,
        refusal::{Outcome, Refusal},
        route::Target,
    },
    ml::{ctx::Ctx, networks, render},
    scope::{self, ML},
    state::{Operation, OperationStatus, State, Verb},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use jiff::Timestamp;
use serde_json::{Value, json};

/// Which URLs an answer carries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Urls {
    /// Azure-AsyncOperation.
    Status,
    /// Azure-AsyncOperation and Location.
    Both,
    /// Location.
    Location,
}

/// Add an operation's URLs to the answer of the write that began it.
pub fn announce(ctx: &Ctx<'_>, mut answer: Answer, guid: &str, kind: &str, urls: Urls) -> Answer {
    let Some(operation) = ctx.state.operations.get(guid) else { return answer };
    let (status, results) = match kind {
        "compute" => ("computeOperationsStatus", "computeOperationsResults"),
        "workspace" => ("workspaceOperationsStatus", "workspaceOperationsResults"),
        _ => ("mfeOperationsStatus", "mfeOperationResults"),
    };
    let service = if kind == "workspace" { "type=async" } else { "service=new" };
    if urls != Urls::Location {
        answer = answer.with("Azure-AsyncOperation", signed(ctx, operation, status, guid, service));
    }
    if urls != Urls::Status {
        let service = if kind == "workspace" { "type=location" } else { "service=new" };
        answer = answer.with("Location", signed(ctx, operation, results, guid, service));
    }
    if kind == "workspace" {
        answer = answer.with("Retry-After", ctx.settings.retry_after(15.0));
    }
    answer
}

fn signed(ctx: &Ctx<'_>, operation: &Operation, kind: &str, guid: &str, service: &str) -> String {
    let path =
        format!("/subscriptions/{}/providers/{ML}/locations/{}/{kind}/{guid}", ctx.route.sub, operation.location);
    let query = format!("api-version={}&{service}", ctx.version);
    format!("{}{path}?{query}&{}", ctx.req.base(), signature(ctx.state, &path, &query, ctx.now.virt))
}

/// The signed tail of an operation URL: issue time, a certificate's worth of text, signature and hash, as long as the
/// real ones are.
pub fn signature(state: &State, path: &str, query: &str, at: Timestamp) -> String {
    // .NET ticks: tenths of microseconds since year 1.
    let ticks = 621_355_968_000_000_000 + i128::from(at.as_microsecond()) * 10;
    format!("t={ticks}&{}", tail(state, path, query, &ticks.to_string()))
}

fn tail(state: &State, path: &str, query: &str, ticks: &str) -> String {
    let key = state.operation_key.as_bytes();
    let text = format!("{}?{query}&t={ticks}", path.to_ascii_lowercase());
    let stretch = |what: &str, blocks: usize| {
        let bytes: Vec<u8> = (0..blocks).flat_map(|i| sign(key, format!("{what}{i}{text}").as_bytes())).collect();
        B64.encode(bytes)
    };
    format!("c={}&s={}&h={}", state.operation_certificate, stretch("s", 8), stretch("h", 1))
}

/// The certificate's part of operation URLs: the same in every one, as in Azure.
pub fn certificate(operation_key: &str) -> String {
    let block = |i: u8| sign(operation_key.as_bytes(), format!("certificate{i}").as_bytes());
    B64.encode((0..56).flat_map(block).collect::<Vec<u8>>())
}

fn genuine(ctx: &Ctx<'_>) -> bool {
    let Some((query, rest)) = ctx.req.query.split_once("&t=") else { return false };
    let Some((ticks, given)) = rest.split_once('&') else { return false };
    given == tail(ctx.state, &ctx.req.path, query, ticks)
}

/// GET of an operation's URL, kept verbatim by the client.
///
/// # Errors
/// 403 when the signature doesn't fit the URL, 404 when there is no such operation.
pub fn get(ctx: &Ctx<'_>) -> Outcome {
    let Target::Operation(_, kind, guid) = &ctx.route.target else {
        return Err(Refusal::arm(404, "NotFound", "Not an operation."));
    };
    if !genuine(ctx) {
        return Err(Refusal::arm(
            403,
            "InvalidSignature",
            "The signature of the operation URL does not fit it. The URL must be used as it was given.",
        ));
    }
    let operation =
        ctx.state.operations.get(&guid.to_ascii_lowercase()).ok_or_else(|| {
            Refusal::provider(404, "OperationNotFound", format!("The operation '{guid}' was not found."))
        })?;
    if kind.ends_with("Status") {
        Ok(Answer::json(200, status(&ctx.req.path, guid, operation)))
    } else {
        result(ctx, operation)
    }
}

/// The body at an Azure-AsyncOperation URL.
fn status(path: &str, guid: &str, operation: &Operation) -> Value {
    let (text, error) = match &operation.status {
        OperationStatus::InProgress => ("InProgress", None),
        OperationStatus::Succeeded => ("Succeeded", None),
        OperationStatus::Failed { code, message } => ("Failed", Some((code.as_str(), message.as_str()))),
        OperationStatus::Canceled => {
            ("Canceled", Some(("OperationCanceled", "The operation was overtaken by a delete.")))
        }
    };
    let mut body = json!({"id": path, "name": guid, "status": text, "startTime": wire_time(operation.started)});
    if let Some(ended) = operation.ended {
        body["endTime"] = json!(wire_time(ended));
    }
    if operation.status == OperationStatus::Succeeded {
        body["percentComplete"] = json!(100.0);
    }
    if let Some((code, message)) = error {
        body["error"] = json!({"code": code, "message": message});
    }
    body
}

/// What a Location URL answers: 202 while it runs, then what a synchronous answer would have been.
fn result(ctx: &Ctx<'_>, operation: &Operation) -> Outcome {
    match &operation.status {
        OperationStatus::InProgress => {
            let own = format!("{}{}?{}", ctx.req.base(), ctx.req.path, ctx.req.query);
            Ok(Answer::empty(202).with("Location", own).with("Retry-After", ctx.settings.retry_after(10.0)))
        }
        OperationStatus::Succeeded => Ok(finished(ctx.state, operation)),
        OperationStatus::Failed { code, message } => Err(Refusal::provider(400, code, message.clone())),
        OperationStatus::Canceled => {
            Err(Refusal::provider(409, "OperationCanceled", "The operation was overtaken by a delete."))
        }
    }
}

/// The synchronous answer of a finished operation.
pub fn finished(state: &State, operation: &Operation) -> Answer {
    let key = &operation.resource;
    let body = match operation.verb {
        Verb::CreateCompute | Verb::UpdateCompute => {
            state.computes.get(key).map(|c| render::compute(c, crate::ml::ctx::Lists::Full))
        }
        Verb::CreateWorkspace => state.workspaces.get(key).map(|w| render::workspace(w, state)),
        Verb::CancelJob | Verb::Power(_) => return Answer::empty(200),
        Verb::ProvisionNetwork { .. } => {
            return state
                .workspaces
                .get(key)
                .map_or_else(|| Answer::empty(204), |w| Answer::json(200, networks::render(w)["status"].clone()));
        }
        _ => None,
    };
    body.map_or_else(|| Answer::empty(204), |body| Answer::json(200, body))
}

/// GET of `/subscriptions/{s}/operationresults/{token}`: the end of a resource group's delete.
///
/// # Errors
/// 404 when there is no such operation.
pub fn group_result(ctx: &Ctx<'_>, token: &str) -> Outcome {
    let unknown = || Refusal::arm(404, "OperationNotFound", format!("The operation '{token}' was not found."));
    let guid = B64.decode(token).ok().and_then(|b| String::from_utf8(b).ok()).ok_or_else(unknown)?;
    let operation = ctx.state.operations.get(&guid).ok_or_else(unknown)?;
    match &operation.status {
        OperationStatus::InProgress => Ok(group_location(ctx, Answer::empty(202), &guid)),
        OperationStatus::Failed { code, message } => Err(Refusal::arm(409, code, message.clone())),
        _ => Ok(Answer::empty(200)),
    }
}

/// Add the Location of a resource group's operation.
pub fn group_location(ctx: &Ctx<'_>, answer: Answer, guid: &str) -> Answer {
    let sub = scope::subscription(&ctx.req.path);
    let url = format!(
        "{}/subscriptions/{sub}/operationresults/{}?api-version={}",
        ctx.req.base(),
        B64.encode(guid),
        ctx.version
    );
    answer.with("Location", url).with("Retry-After", ctx.settings.retry_after(15.0))
}
