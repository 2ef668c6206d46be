//! Lists: what they show, and page by page.

use super::ctx::Ctx;
use crate::front::{
    http::Answer,
    refusal::{Outcome, Refusal},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use serde_json::{Value, json};

/// Turn the items (by key) into one page with a `nextLink` to the next.
///
/// # Errors
/// 400 for a `$skip` that this service didn't give.
pub fn page(ctx: &Ctx<'_>, mut items: Vec<(String, Value)>) -> Outcome {
    items.sort_by(|a, b| a.0.cmp(&b.0));
    let after = match ctx.req.param("$skip") {
        None => String::new(),
        Some(token) => B64.decode(&token).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| {
            Refusal::provider(400, "InvalidContinuationToken", "The continuation token is not valid.")
        })?,
    };
    let size = ctx.settings.page_size();
    let rest: Vec<(String, Value)> = items.into_iter().filter(|(key, _)| *key > after).collect();
    let more = rest.len() > size;
    let shown: Vec<(String, Value)> = rest.into_iter().take(size).collect();
    let next = shown.last().filter(|_| more).map(|(key, _)| next_link(ctx, key));
    let value: Vec<Value> = shown.into_iter().map(|(_, v)| v).collect();
    let mut body = json!({"value": value});
    if let Some(next) = next {
        body["nextLink"] = json!(next);
    }
    Ok(Answer::json(200, body))
}

fn next_link(ctx: &Ctx<'_>, last: &str) -> String {
    let kept: Vec<&str> = ctx
        .req
        .query
        .split('&')
        .filter(|p| !p.is_empty() && !p.starts_with("$skip=") && !p.starts_with("%24skip="))
        .collect();
    format!("{}{}?{}&$skip={}", ctx.req.base(), ctx.req.path, kept.join("&"), B64.encode(last))
}
