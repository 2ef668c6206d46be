//! Remember: how writes end, and what Azure says.

use azureml_api::condition::whole_second;
use azureml_api::status::{Operation, Origin, Phase, Verb};
use azureml_arm::Response;
use azureml_planner::{Input, Memory, Observed, operation};
use serde_json::Value;

use super::Look;
use crate::report::status;

impl Look {
    /// Remembers how the write under way ended, and what Azure says.
    pub(super) fn remember(&mut self) {
        let Some(plan) = &self.plan else { return };
        let mut remembered = self.status.clone();
        let creating = remembered.operation.as_ref().is_some_and(|operation| operation.verb == Verb::Create);
        status::conclude(&mut remembered, &Input { memory: Memory::default(), ..self.input() }, plan);
        // While our creation is awaited, what was there before it isn't taken for it.
        let awaited = remembered.operation.as_ref().is_some_and(|operation| operation.verb == Verb::Create);
        let earlier = |live: &Value| awaited && operation::is_another(remembered.azure.as_ref(), live);
        if let Some(live) = status::shown(&self.observed, Some(plan)).filter(|live| !earlier(live)) {
            let workspace_id = self.facts.workspace_id.as_deref();
            let before = remembered.azure.as_ref();
            let mut azure = status::azure(before, &self.id, workspace_id, self.kind.table, live, self.now.time);
            if creating {
                azure.origin = Some(Origin::Created);
            }
            remembered.azure = Some(azure);
        } else if matches!(self.observed, Observed::Absent | Observed::Gone)
            && remembered.operation.is_none()
            && !self.manages()
        {
            remembered.azure = None;
        }
        self.status = remembered;
    }

    /// Azure took the write.
    pub(super) fn accept(&mut self, verb: Verb, response: Response) {
        let url = response.operation.map(|url| url.as_str().to_owned());
        let started_at = whole_second(self.now.time);
        self.status.operation = self.status.operation.take().map(|intended| Operation {
            phase: Phase::Running,
            url,
            started_at,
            ..intended
        });
        let workspace_id = self.facts.workspace_id.as_deref();
        if matches!(verb, Verb::Create | Verb::Put | Verb::Patch) && response.body.is_object() {
            let before = self.status.azure.as_ref().filter(|_| verb != Verb::Create);
            let table = self.kind.table;
            let mut azure = status::azure(before, &self.id, workspace_id, table, &response.body, self.now.time);
            if verb == Verb::Create {
                azure.origin = Some(Origin::Created);
            }
            self.status.azure = Some(azure);
        }
        if verb == Verb::Create {
            // What was written to an earlier resource of this name says nothing of this one.
            self.status.applied = None;
        }
    }

    /// Whether Azure got the write isn't known. The intent stands: its outcome is found out before anything is written
    /// again.
    pub(super) fn keep_uncertain(&mut self) {
        // A request may take as long as the window: it begins when the answer is lost.
        if let Some(operation) = &mut self.status.operation {
            operation.started_at = whole_second(self.now.time);
        }
    }
}
