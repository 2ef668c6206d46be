//! The annotation `azureml.dev/reconcile-requested-at`: Azure is read at once, and the value echoed when that was seen.

use std::time::Duration;

use tokio::time::Instant;

use crate::context::Context;
use crate::index::Object;
use crate::observe::source::Source;

/// How soon it is looked whether the read that was asked for has come.
const SOON: Duration = Duration::from_secs(1);

/// The value to echo, once Azure has been read since it was first seen. `before` is the one echoed last.
pub fn answer(ctx: &Context, object: &Object, source: &Source, before: Option<&str>) -> Option<String> {
    let asked = object.annotation(azureml_api::RECONCILE_ANNOTATION).filter(|asked| before != Some(asked))?;
    let mut since = Instant::now();
    let mut is_new = false;
    ctx.scratches.update(&object.key, |scratch| match &scratch.asked {
        Some((value, at)) if value == asked => since = *at,
        _ => {
            scratch.asked = Some((asked.to_owned(), since));
            // Who asks for a look asks for a try, too.
            scratch.attempt = None;
            is_new = true;
        }
    });
    if is_new {
        source.hurry();
    }
    let view = source.view();
    if view.started.is_some_and(|started| started > since) {
        return Some(asked.to_owned());
    }
    let wait = if view.trouble.is_some() { source.interval() } else { SOON };
    ctx.queue.add_at(object.key.clone(), Instant::now() + wait);
    None
}
