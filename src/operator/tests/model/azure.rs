//! Abstract Azure: one resource, operations that take their time, and answers that lag behind.

use azureml_api::fields::set;
use azureml_api::status::Verb;
use serde_json::{Value, json};

use crate::documents::{Id, Interner, NAME, WORKSPACE, changed_by_hand, foreign};

/// Azure.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Azure {
    /// The resource, as it is.
    pub now: Option<Resource>,
    /// What lists show, where that is behind.
    pub list: Lag,
    /// What reads of the resource show, where that is behind.
    pub get: Lag,
    /// The last operation of ours, and how it stands.
    pub operation: Option<(WrittenVerb, Stand)>,
    /// How many resources there have been: their times of creation differ.
    pub made: u8,
    /// Requests that have left an operator and haven't arrived.
    pub on_the_way: Vec<Request>,
}

/// A channel that shows Azure as it is, or as it was. Each channel by itself never goes back in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lag {
    /// As it is.
    None,
    /// As it was.
    Shows(Option<Resource>),
}

/// A resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Resource {
    /// What was written.
    pub settings: Id,
    /// `properties.provisioningState`.
    pub state: State,
    /// Which of the resources that there have been.
    pub made: u8,
    /// Who made it.
    pub whose: Whose,
    /// Who wrote last.
    pub last: Whose,
}

/// Provisioning states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    Creating,
    Updating,
    Succeeded,
    Failed,
    Deleting,
}

/// Who made or wrote something, in truth, whatever any tag says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Whose {
    Ours,
    Theirs,
}

/// Azure's side of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stand {
    Running,
    Succeeded,
    Failed,
}

/// A verb that can be hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WrittenVerb {
    Create,
    Put,
    Patch,
    Delete,
}

impl From<Verb> for WrittenVerb {
    fn from(verb: Verb) -> Self {
        match verb {
            Verb::Create => Self::Create,
            Verb::Put => Self::Put,
            Verb::Patch => Self::Patch,
            Verb::Delete => Self::Delete,
        }
    }
}

/// A write under way to Azure.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// The process that waits for the answer; none once it is dead.
    pub from: Option<usize>,
    /// What is done.
    pub verb: WrittenVerb,
    /// The body; nothing for a DELETE.
    pub body: Option<Id>,
}

/// What Azure answers to a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Taken; the resource as it is then, and whether there is an operation to follow.
    Accepted(Option<Resource>),
    /// 409 or 404.
    Refused,
}

/// A promise that a request has broken.
pub type Broken = &'static str;

impl Azure {
    /// With a resource of somebody else's, or empty.
    pub fn new(documents: &Interner<Value>, occupied: bool) -> Self {
        let theirs = |settings| Resource {
            settings,
            state: State::Succeeded,
            made: 0,
            whose: Whose::Theirs,
            last: Whose::Theirs,
        };
        Self {
            now: occupied.then(|| theirs(documents.document(foreign()))),
            list: Lag::None,
            get: Lag::None,
            operation: None,
            made: 1,
            on_the_way: Vec::new(),
        }
    }

    /// What a list shows.
    pub fn listed(&self) -> Option<Resource> {
        shown(self.list, self.now)
    }

    /// What a read shows.
    pub fn read(&self) -> Option<Resource> {
        shown(self.get, self.now)
    }

    /// A request arrives.
    pub fn take(&mut self, request: &Request, documents: &Interner<Value>) -> (Answer, Option<Broken>) {
        let broken = self.breaks(request, documents);
        (self.handle(request, documents), broken)
    }

    /// The promise that this request breaks, judged by what Azure truly has.
    fn breaks(&self, request: &Request, documents: &Interner<Value>) -> Option<Broken> {
        let now = self.now?;
        if now.whose == Whose::Theirs {
            return Some("only ours is written or deleted");
        }
        match request.verb {
            WrittenVerb::Create => Some("what exists isn't created again"),
            WrittenVerb::Delete => (now.state == State::Deleting).then_some("nothing is deleted twice"),
            WrittenVerb::Put | WrittenVerb::Patch => {
                let same = self.after(request, documents) == now.settings;
                let settled = now.state != State::Failed && now.last == Whose::Ours;
                (same && settled).then_some("no change is written twice")
            }
        }
    }

    /// The settings after a request.
    fn after(&self, request: &Request, documents: &Interner<Value>) -> Id {
        let body = request.body.unwrap();
        match (request.verb, self.now) {
            (WrittenVerb::Patch, Some(now)) => documents.merged(now.settings, body),
            _ => body,
        }
    }

    fn handle(&mut self, request: &Request, documents: &Interner<Value>) -> Answer {
        let verb = request.verb;
        match (verb, self.now) {
            (WrittenVerb::Delete, None) => Answer::Accepted(None),
            (WrittenVerb::Delete, Some(now)) => {
                self.change(Some(Resource { state: State::Deleting, last: Whose::Ours, ..now }));
                self.operation = Some((verb, Stand::Running));
                Answer::Accepted(self.now)
            }
            (WrittenVerb::Patch, None) => Answer::Refused,
            (WrittenVerb::Create | WrittenVerb::Put, None) => {
                let settings = request.body.unwrap();
                let made = self.made;
                self.made += 1;
                let whose = Whose::Ours;
                self.change(Some(Resource { settings, state: State::Creating, made, whose, last: whose }));
                self.operation = Some((verb, Stand::Running));
                Answer::Accepted(self.now)
            }
            (_, Some(now)) if !matches!(now.state, State::Succeeded | State::Failed) => Answer::Refused,
            (_, Some(now)) => {
                let settings = self.after(request, documents);
                self.change(Some(Resource { settings, state: State::Updating, last: Whose::Ours, ..now }));
                self.operation = Some((verb, Stand::Running));
                Answer::Accepted(self.now)
            }
        }
    }

    /// The resource changes; what was shown before goes on being shown for a while.
    pub fn change(&mut self, after: Option<Resource>) {
        for lag in [&mut self.list, &mut self.get] {
            if *lag == Lag::None {
                *lag = Lag::Shows(self.now);
            }
        }
        self.now = after;
        self.tidy();
    }

    /// Everything is shown as it is.
    pub fn settle(&mut self) {
        (self.list, self.get) = (Lag::None, Lag::None);
    }

    /// What lags behind by nothing doesn't.
    fn tidy(&mut self) {
        for lag in [&mut self.list, &mut self.get] {
            if *lag == Lag::Shows(self.now) {
                *lag = Lag::None;
            }
        }
    }

    /// The state after Azure's work, if it is at work.
    pub fn work_ends(&mut self, well: bool) -> bool {
        let Some(now) = self.now else { return false };
        let stand = if well { Stand::Succeeded } else { Stand::Failed };
        let after = match (now.state, well) {
            (State::Succeeded | State::Failed, _) => return false,
            (State::Creating | State::Updating, false) => Some(Resource { state: State::Failed, ..now }),
            (State::Creating | State::Updating, true) | (State::Deleting, false) => {
                Some(Resource { state: State::Succeeded, ..now })
            }
            (State::Deleting, true) => None,
        };
        self.operation = self.operation.map(|(verb, _)| (verb, stand));
        match after {
            None => self.change(None),
            after => self.now = after,
        }
        self.tidy();
        true
    }

    /// Somebody changes the scale by hand.
    pub fn change_by_hand(&mut self, documents: &Interner<Value>) {
        if let Some(now) = self.now {
            let settings = documents.document(changed_by_hand(&documents.get(now.settings)));
            self.change(Some(Resource { settings, last: Whose::Theirs, ..now }));
        }
    }

    /// Somebody deletes it by hand; what was under way on it fails.
    pub fn delete_by_hand(&mut self) {
        self.change(None);
        self.operation = self.operation.map(|(verb, stand)| match stand {
            Stand::Running => (verb, Stand::Failed),
            ended => (verb, ended),
        });
    }

    /// Somebody else makes a resource of that name. That it shows at once, and never between our read and our write, is
    /// an assumption: ARM has no If-None-Match here, so nothing could prevent that race.
    pub fn occupy(&mut self, documents: &Interner<Value>) {
        let made = self.made;
        self.made += 1;
        let settings = documents.document(foreign());
        let whose = Whose::Theirs;
        self.now = Some(Resource { settings, state: State::Succeeded, made, whose, last: whose });
        self.settle();
    }
}

fn shown(lag: Lag, now: Option<Resource>) -> Option<Resource> {
    match lag {
        Lag::None => now,
        Lag::Shows(before) => before,
    }
}

/// A resource as Azure's answers have it.
pub fn body(resource: Resource, documents: &Interner<Value>) -> Value {
    let mut body = (*documents.get(resource.settings)).clone();
    set(&mut body, "id", json!(format!("{WORKSPACE}/computes/{NAME}")));
    set(&mut body, "name", json!(NAME));
    set(&mut body, "properties.provisioningState", json!(format!("{:?}", resource.state)));
    set(&mut body, "properties.createdOn", json!(format!("2026-01-{:02}T00:00:00Z", resource.made + 1)));
    body
}
