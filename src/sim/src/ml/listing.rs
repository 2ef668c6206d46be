//! Lists: what they show, and page by page.

use super::ctx::Ctx;
use crate::front::{
    http::Answer,
    refusal::{Outcome, Refusal},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use serde_json::{Value, json};

/// One page of the things with these keys, with a `nextLink` to the next. `show` gives what the list shows of a thing,
/// if anything; it is asked only about those that may be on this page.
///
/// # Errors
/// 400 for a `$skip` that this service didn't give.
pub fn page(ctx: &Ctx<'_>, mut keys: Vec<String>, show: impl Fn(&str) -> Option<Value>) -> Outcome {
    keys.sort();
    keys.dedup();
    let after = match ctx.req.param("$skip") {
        None => String::new(),
        Some(token) => B64.decode(&token).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| {
            Refusal::provider(400, "InvalidContinuationToken", "The continuation token is not valid.")
        })?,
    };
    let size = ctx.settings.page_size();
    // One more than fits tells whether there is a next page.
    let mut shown: Vec<(String, Value)> = keys
        .into_iter()
        .filter(|key| *key > after)
        .filter_map(|key| show(&key).map(|v| (key, v)))
        .take(size + 1)
        .collect();
    let more = shown.len() > size;
    shown.truncate(size);
    let next = shown.last().filter(|_| more).map(|(key, _)| next_link(ctx, key));
    let value: Vec<Value> = shown.into_iter().map(|(_, v)| v).collect();
    let mut body = json!({"value": value});
    if let Some(next) = next {
        body["nextLink"] = json!(next);
    }
    Ok(Answer::json(200, body))
}

/// What a list still shows of something deleted.
pub fn ghost(ctx: &Ctx<'_>, key: &str) -> Option<Value> {
    ctx.state.ghosts.get(key).filter(|g| g.until > ctx.now.virt).map(|g| g.body.clone())
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
