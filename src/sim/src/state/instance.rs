//! What a compute instance has beside what every compute has.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The machine of a ComputeInstance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Instance {
    /// What it does, apart from the provisioning state.
    pub state: InstanceState,
    /// `lastOperation`.
    pub last: LastOperation,
    /// `properties.properties.errors`, or null.
    pub errors: Value,
    /// Why its creation is going to fail, or null: there was no room for it.
    pub doomed: Value,
    /// Who made it.
    pub creator: Creator,
    /// Until when somebody used it: its idle time counts from here.
    pub active_until: Timestamp,
    /// Times that its idle clock was set: an event of an earlier one is void.
    pub idle_round: u64,
    /// Times that its schedules were set: an event of an earlier one is void.
    pub schedule_round: u64,
    /// The size that a resize under way makes of it.
    pub resize_to: Option<String>,
}

/// `createdBy`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Creator {
    /// Display name.
    pub name: String,
    /// Tenant.
    pub tenant: String,
    /// Object id.
    pub object: String,
}

/// `lastOperation`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LastOperation {
    /// What.
    pub power: Power,
    /// Begun, and from its end on ended; virtual time.
    pub at: Timestamp,
    /// How far it is.
    pub progress: Progress,
    /// What set it off.
    pub trigger: Trigger,
}

/// Operations of an instance.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub enum Power {
    /// PUT.
    Create,
    /// POST start.
    Start,
    /// POST stop.
    Stop,
    /// POST restart.
    Restart,
    /// POST resize.
    Resize,
    /// DELETE.
    Delete,
}

impl Power {
    /// As on the wire.
    pub fn text(self) -> &'static str {
        match self {
            Self::Create => "Create",
            Self::Start => "Start",
            Self::Stop => "Stop",
            Self::Restart => "Restart",
            Self::Resize => "Resize",
            Self::Delete => "Delete",
        }
    }
}

/// How far an instance's operation is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub enum Progress {
    /// Not over.
    InProgress,
    /// Over, well.
    Succeeded,
    /// Over, badly.
    Failed,
}

/// What set an instance's operation off.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub enum Trigger {
    /// A request.
    User,
    /// One of its schedules.
    Schedule,
    /// Nobody used it for its idle time.
    IdleShutdown,
}

impl Trigger {
    /// As on the wire.
    pub fn text(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Schedule => "Schedule",
            Self::IdleShutdown => "IdleShutdown",
        }
    }
}

impl LastOperation {
    /// `operationStatus`: a failure carries the operation's name.
    pub fn status(&self) -> String {
        match self.progress {
            Progress::InProgress => "InProgress".into(),
            Progress::Succeeded => "Succeeded".into(),
            Progress::Failed => format!("{}Failed", self.power.text()),
        }
    }
}

/// `properties.properties.state`. What is being deleted is known from the provisioning state.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub enum InstanceState {
    /// Being created.
    Creating,
    /// Its creation failed: there is no machine.
    CreateFailed,
    /// A setup script runs.
    SettingUp,
    /// A setup script failed; the machine runs.
    SetupFailed,
    /// Runs.
    Running,
    /// Runs jobs.
    JobRunning,
    /// Being stopped.
    Stopping,
    /// Stopped: disk and quota stay.
    Stopped,
    /// Being started.
    Starting,
    /// Being restarted.
    Restarting,
    /// Getting another size.
    Resizing,
    /// A restart failed.
    Unusable,
    /// An operation was given up half way.
    Unknown,
}

impl InstanceState {
    /// As on the wire.
    pub fn text(self) -> &'static str {
        match self {
            Self::Creating => "Creating",
            Self::CreateFailed => "CreateFailed",
            Self::SettingUp => "SettingUp",
            Self::SetupFailed => "SetupFailed",
            Self::Running => "Running",
            Self::JobRunning => "JobRunning",
            Self::Stopping => "Stopping",
            Self::Stopped => "Stopped",
            Self::Starting => "Starting",
            Self::Restarting => "Restarting",
            Self::Resizing => "Resizing",
            Self::Unusable => "Unusable",
            Self::Unknown => "Unknown",
        }
    }

    /// The machine is there and on.
    pub fn is_on(self) -> bool {
        matches!(self, Self::Running | Self::JobRunning | Self::SetupFailed | Self::Unusable | Self::Unknown)
    }

    /// An operation is on its way to another state.
    pub fn is_passing(self) -> bool {
        matches!(
            self,
            Self::Creating | Self::SettingUp | Self::Stopping | Self::Starting | Self::Restarting | Self::Resizing
        )
    }
}
