//! `workspaces/jobs` of type Command.

use super::{
    ctx::{Ctx, bad_content},
    listing, physics, render, schema, tables,
};
use crate::{
    clock::{later, parse_duration},
    front::{
        governance,
        http::Answer,
        refusal::{Outcome, Refusal},
    },
    resources::operations::{self, Urls},
    scope::{self, ML},
    state::{Event, Job, JobStatus, Meta, Verb},
};
use jiff::SignedDuration;
use serde_json::Value;

/// How a job says how long it runs: an environment variable, or an entry of `properties.properties`.
const DURATION: &str = "AZUREML_SIM_DURATION";

/// How a job says how it ends: `Failed`, or anything else for Completed.
const OUTCOME: &str = "AZUREML_SIM_OUTCOME";

/// GET of a workspace's jobs.
///
/// # Errors
/// A continuation token that isn't ours.
pub fn list(ctx: &Ctx<'_>) -> Outcome {
    let root = format!("{}/jobs", scope::key(&ctx.route.id()));
    let keys = scope::under(&ctx.state.jobs, &root).map(|(key, _)| key.clone()).collect();
    let wanted = Wanted::read(ctx)?;
    listing::page(ctx, keys, |key| {
        let job = ctx.state.jobs.get(key)?;
        job.meta.listed(ctx.now.virt, || render::job(job)).filter(|shown| wanted.fits(shown))
    })
}

/// What a list is asked for. There is no filter by compute or by state: a client looks at `computeId` and `status`.
struct Wanted {
    kind: Option<String>,
    tag: Option<String>,
    archived: Option<bool>,
}

impl Wanted {
    fn read(ctx: &Ctx<'_>) -> Outcome<Self> {
        let view = ctx.req.param("listViewType").unwrap_or_default();
        let archived = match view.to_ascii_lowercase().as_str() {
            "" | "activeonly" => Some(false),
            "archivedonly" => Some(true),
            "all" => None,
            _ => {
                let text = format!("'{view}' is not one of ActiveOnly, ArchivedOnly and All.");
                return Err(Refusal::provider(400, "UserError", text).at("listViewType"));
            }
        };
        Ok(Self { kind: ctx.req.param("jobType"), tag: ctx.req.param("tag"), archived })
    }

    fn fits(&self, job: &Value) -> bool {
        let properties = &job["properties"];
        // A tag is asked for by its name, or as name=value.
        let tagged = |tag: &String| match tag.split_once('=') {
            Some((name, value)) => properties["tags"][name] == value,
            None => properties["tags"].get(tag).is_some(),
        };
        let kind = |kind: &String| properties["jobType"].as_str().is_some_and(|k| k.eq_ignore_ascii_case(kind));
        self.kind.as_ref().is_none_or(kind)
            && self.tag.as_ref().is_none_or(tagged)
            && self.archived.is_none_or(|archived| (properties["isArchived"] == true) == archived)
    }
}

fn not_found(ctx: &Ctx<'_>) -> Refusal {
    let id = ctx.route.id();
    let workspace = scope::leaf(scope::up(&id, 2)).to_string();
    Refusal::not_found("workspaces", &format!("{workspace}/jobs/{}", scope::leaf(&id)), &ctx.route.group)
}

fn find<'a>(ctx: &'a Ctx<'_>) -> Outcome<&'a Job> {
    let found = ctx.state.jobs.get(&scope::key(&ctx.route.id()));
    found.filter(|j| !j.meta.unborn(ctx.now.virt)).ok_or_else(|| not_found(ctx))
}

/// GET of one.
///
/// # Errors
/// 404.
pub fn get(ctx: &Ctx<'_>) -> Outcome {
    Ok(Answer::json(200, render::job(find(ctx)?)))
}

/// PUT: submit; over an existing job only what describes it changes.
///
/// # Errors
/// What is wrong with the body, or a compute that isn't there.
pub fn put(ctx: &mut Ctx<'_>) -> Outcome {
    let id = ctx.route.id();
    let key = scope::key(&id);
    let mut body = ctx.body()?;
    match body["properties"]["jobType"].as_str() {
        Some("Command") => {}
        Some(kind) => {
            let text = format!("azure-sim runs jobs of type Command only, not '{kind}'.");
            return Err(Refusal::provider(400, "UserError", text).at("properties.jobType"));
        }
        None => return Err(bad_content("Required property 'jobType' not found in JSON. Path 'properties.jobType'")),
    }
    governance::apply_policies(&ctx.state.policies, &id, &format!("{ML}/workspaces/jobs"), &mut body)?;
    schema::check(&mut body, &tables::JOB, ctx.settings.options.unknown_fields)?;
    let properties = body["properties"].take();
    if ctx.state.jobs.contains_key(&key) {
        return describe(ctx, &key, &properties);
    }
    let compute = compute_of(ctx, &properties)?;
    submit(ctx, &id, properties, compute)
}

fn describe(ctx: &mut Ctx<'_>, key: &str, properties: &Value) -> Outcome {
    let (virt, writer) = (ctx.now.virt, ctx.caller.client_id.clone());
    let Some(job) = ctx.state.jobs.get_mut(key) else { return Err(not_found(ctx)) };
    for name in ["tags", "description", "displayName", "isArchived", "properties"] {
        job.body[name] = properties[name].clone();
    }
    (job.meta.modified, job.meta.modified_by) = (virt, writer);
    Ok(Answer::json(200, render::job(job)))
}

/// Key of the job's compute: an ARM id, or a name in the workspace; empty for a serverless job.
fn compute_of(ctx: &Ctx<'_>, properties: &Value) -> Outcome<String> {
    let Some(given) = properties["computeId"].as_str().filter(|c| !c.is_empty()) else { return Ok(String::new()) };
    let workspace = ctx.route.workspace().unwrap_or_default();
    let id = if given.starts_with('/') { given.to_string() } else { format!("{workspace}/computes/{given}") };
    let key = scope::key(&id);
    let here = scope::contains(&scope::key(&workspace), &key) && ctx.state.computes.contains_key(&key);
    if here {
        return Ok(key);
    }
    Err(Refusal::provider(
        400,
        "UserError",
        format!("Compute target '{given}' was not found in workspace '{}'.", scope::leaf(&workspace)),
    )
    .at("properties.computeId"))
}

fn submit(ctx: &mut Ctx<'_>, id: &str, body: Value, compute: String) -> Outcome {
    let said = |name: &str| body["environmentVariables"][name].as_str().or(body["properties"][name].as_str());
    let wrong = |field: &str, why: String| Refusal::provider(400, "UserError", why).at(field);
    let run = match said(DURATION) {
        None => ctx.settings.world.timings.job_run.0,
        Some(text) => parse_duration(text).map_err(|why| wrong(DURATION, why))?,
    };
    let limit = match body["limits"]["timeout"].as_str() {
        None => SignedDuration::MAX,
        Some(text) => parse_duration(text).map_err(|why| wrong("properties.limits.timeout", why))?,
    };
    let instances = body["resources"]["instanceCount"].as_i64().unwrap_or(1);
    if instances < 1 {
        return Err(wrong("properties.resources.instanceCount", "The instance count must be at least 1.".into()));
    }
    let outcome = match said(OUTCOME) {
        _ if limit < run => JobStatus::Canceled,
        Some(text) if text.eq_ignore_ascii_case("Failed") => JobStatus::Failed,
        _ => JobStatus::Completed,
    };
    let (virt, writer) = (ctx.now.virt, ctx.caller.client_id.clone());
    ctx.state.submitted += 1;
    let meta = Meta {
        id: id.into(),
        uid: ctx.state.dice.guid(),
        location: String::new(),
        created_by: writer.clone(),
        created: virt,
        modified_by: writer,
        modified: virt,
        veil: ctx.settings.veil(None, virt),
    };
    let event = Event::Job { job: scope::key(id), uid: meta.uid.clone(), step: 0 };
    ctx.state.agenda.add(later(virt, ctx.settings.world.timings.job_start.0), event);
    let job = Job {
        meta,
        body,
        status: JobStatus::NotStarted,
        compute,
        instances,
        seconds: run.min(limit).as_secs(),
        outcome,
        order: ctx.state.submitted,
        step: 0,
        started: None,
        ended: None,
    };
    let shown = render::job(&job);
    ctx.state.jobs.insert(scope::key(id), job);
    Ok(Answer::json(201, shown))
}

/// POST cancel.
///
/// # Errors
/// 404, or 400 for a job that is over.
pub fn cancel(ctx: &mut Ctx<'_>) -> Outcome {
    let key = scope::key(&ctx.route.id());
    let job = find(ctx)?;
    if job.status.over() {
        return Err(Refusal::provider(
            400,
            "UserError",
            format!("The job '{}' is already in the terminal state '{}'.", job.meta.name(), job.status.text()),
        ));
    }
    let running = job.status == JobStatus::Running;
    let (id, uid) = (job.meta.id.clone(), job.meta.uid.clone());
    let virt = ctx.now.virt;
    let lasts = ctx.settings.world.timings.job_cancel.0;
    if running {
        if let Some(job) = ctx.state.jobs.get_mut(&key) {
            job.status = JobStatus::CancelRequested;
            job.step += 1;
            let event = Event::Job { job: key.clone(), uid: job.meta.uid.clone(), step: job.step };
            ctx.state.agenda.add(later(virt, lasts), event);
        }
    } else {
        physics::end_job(ctx.state, &key, JobStatus::Canceled, virt);
        let compute = ctx.state.jobs.get(&key).map(|j| j.compute.clone()).unwrap_or_default();
        physics::look(ctx.settings, ctx.state, &compute, virt);
    }
    let location = region(ctx);
    let guid = ctx.begin(Verb::CancelJob, &id, &uid, &location, lasts);
    Ok(operations::announce(ctx, Answer::empty(202), &guid, "job", Urls::Location))
}

/// DELETE.
///
/// # Errors
/// None of its own: 204 when there is none.
pub fn delete(ctx: &mut Ctx<'_>) -> Outcome {
    let Ok(job) = find(ctx) else { return Ok(Answer::empty(204)) };
    let (id, uid) = (job.meta.id.clone(), job.meta.uid.clone());
    let location = region(ctx);
    let guid = ctx.begin(Verb::DeleteJob, &id, &uid, &location, ctx.settings.world.timings.job_cancel.0);
    Ok(operations::announce(ctx, Answer::empty(202), &guid, "job", Urls::Location))
}

fn region(ctx: &Ctx<'_>) -> String {
    let workspace = ctx.route.workspace().map(|w| scope::key(&w)).unwrap_or_default();
    ctx.state.workspaces.get(&workspace).map(|w| w.meta.location.clone()).unwrap_or_default()
}
