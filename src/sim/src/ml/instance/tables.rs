//! The fields of a ComputeInstance's body, from the public specification (2025-12-01), and of its actions' bodies.

use crate::ml::{
    schema::{Kind, Kind::*, opt, req, ro},
    tables::{ID_ONLY, compute_resource},
};

const IMAGE: Kind =
    Open("Image", &[opt("type", OneOf(&["docker", "azureml"])), opt("reference", Text), opt("version", Text)]);

const VARIABLE: Kind = Open("EnvironmentVariable", &[opt("type", OneOf(&["local"])), opt("value", Text)]);

const ENDPOINT: Kind = Object(
    "Endpoint",
    &[
        opt("protocol", OneOf(&["tcp", "udp", "http"])),
        opt("name", Text),
        opt("target", Whole),
        opt("published", Whole),
        opt("hostIp", Text),
    ],
);

const VOLUME: Kind = Object(
    "VolumeDefinition",
    &[
        opt("type", OneOf(&["bind", "volume", "tmpfs", "npipe"])),
        opt("readOnly", Truth),
        opt("source", Text),
        opt("target", Text),
        opt("consistency", Text),
        opt(
            "bind",
            Object("BindOptions", &[opt("propagation", Text), opt("createHostPath", Truth), opt("selinux", Text)]),
        ),
        opt("volume", Object("VolumeOptions", &[opt("nocopy", Truth)])),
        opt("tmpfs", Object("TmpfsOptions", &[opt("size", Whole)])),
    ],
);

const SERVICE: Kind = Open(
    "CustomService",
    &[
        opt("name", Text),
        opt("image", IMAGE),
        opt("environmentVariables", Dict(&VARIABLE)),
        opt("docker", Open("Docker", &[opt("privileged", Truth)])),
        opt("endpoints", List(&ENDPOINT)),
        opt("volumes", List(&VOLUME)),
        opt(
            "kernel",
            Object("JupyterKernelConfig", &[opt("argv", List(&Text)), opt("displayName", Text), opt("language", Text)]),
        ),
    ],
);

const SCRIPT: Kind = Object(
    "ScriptReference",
    &[opt("scriptSource", Text), opt("scriptData", Text), opt("scriptArguments", Text), opt("timeout", Text)],
);

const WEEKDAY: Kind = OneOf(&["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]);

const RECURRENCE: Kind = Object(
    "Recurrence",
    &[
        req("frequency", OneOf(&["Minute", "Hour", "Day", "Week", "Month"])),
        req("interval", Whole),
        opt("startTime", Text),
        opt("timeZone", Text),
        opt(
            "schedule",
            Object(
                "ComputeRecurrenceSchedule",
                &[
                    req("hours", List(&Whole)),
                    req("minutes", List(&Whole)),
                    opt("monthDays", List(&Whole)),
                    opt("weekDays", List(&WEEKDAY)),
                ],
            ),
        ),
    ],
);

const SCHEDULE: Kind = Object(
    "ComputeStartStopSchedule",
    &[
        ro("id"),
        ro("provisioningStatus"),
        opt("status", OneOf(&["Enabled", "Disabled"])),
        req("action", OneOf(&["Start", "Stop"])),
        req("triggerType", OneOf(&["Recurrence", "Cron"])),
        opt("recurrence", RECURRENCE),
        opt("cron", Object("Cron", &[opt("startTime", Text), opt("timeZone", Text), req("expression", Text)])),
        // Deprecated, and without effect.
        opt(
            "schedule",
            Object(
                "ScheduleBase",
                &[
                    opt("id", Text),
                    opt("provisioningStatus", OneOf(&["Completed", "Provisioning", "Failed"])),
                    opt("status", OneOf(&["Enabled", "Disabled"])),
                ],
            ),
        ),
    ],
);

const INSTANCE: Kind = Object(
    "ComputeInstanceProperties",
    &[
        opt("vmSize", Text),
        opt("subnet", ID_ONLY),
        opt("applicationSharingPolicy", OneOf(&["Personal", "Shared"])),
        opt(
            "sshSettings",
            Object(
                "ComputeInstanceSshSettings",
                &[
                    opt("sshPublicAccess", OneOf(&["Enabled", "Disabled"])),
                    ro("adminUserName"),
                    ro("sshPort"),
                    opt("adminPublicKey", Text),
                ],
            ),
        ),
        opt("customServices", List(&SERVICE)),
        ro("osImageMetadata"),
        ro("connectivityEndpoints"),
        ro("applications"),
        ro("createdBy"),
        ro("errors"),
        ro("state"),
        opt("computeInstanceAuthorizationType", OneOf(&["personal"])),
        opt("enableSSO", Truth),
        opt(
            "personalComputeInstanceSettings",
            Object(
                "PersonalComputeInstanceSettings",
                &[opt("assignedUser", Object("AssignedUser", &[req("objectId", Text), req("tenantId", Text)]))],
            ),
        ),
        opt(
            "setupScripts",
            Object(
                "SetupScripts",
                &[opt(
                    "scripts",
                    Object("ScriptsToExecute", &[opt("startupScript", SCRIPT), opt("creationScript", SCRIPT)]),
                )],
            ),
        ),
        ro("lastOperation"),
        opt("schedules", Object("ComputeSchedules", &[opt("computeStartStop", List(&SCHEDULE))])),
        opt("idleTimeBeforeShutdown", Text),
        opt("enableNodePublicIp", Truth),
        ro("containers"),
        ro("dataDisks"),
        ro("dataMounts"),
        ro("versions"),
    ],
);

/// PUT of a compute of type ComputeInstance.
pub const COMPUTE: Kind = compute_resource!("ComputeInstance", INSTANCE);

/// POST updateIdleShutdownSetting; null switches it off.
pub const IDLE_SETTING: Kind = Object("IdleShutdownSetting", &[opt("idleTimeBeforeShutdown", Text)]);

/// POST resize.
pub const RESIZE: Kind = Object("ResizeSchema", &[req("targetVMSize", Text)]);
