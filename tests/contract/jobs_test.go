package contract

import (
	"fmt"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	ml "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/machinelearning/armmachinelearning/v4"
)

// job is a command job of one node.
func job(compute string) *ml.CommandJob {
	return &ml.CommandJob{
		JobType:       to.Ptr(ml.JobTypeCommand),
		Command:       to.Ptr("python train.py"),
		EnvironmentID: to.Ptr(workspacePath + "/environments/sklearn/versions/1"),
		ComputeID:     to.Ptr(computeID(compute)),
	}
}

// command is the part of a job that only a command job has.
func command(t *testing.T, base ml.JobBase) *ml.CommandJob {
	t.Helper()
	found, ok := base.Properties.(*ml.CommandJob)
	if !ok {
		t.Fatalf("the client doesn't take it for a command job: %T", base.Properties)
	}
	return found
}

func TestJobs(t *testing.T) {
	t.Parallel()
	azure := newAzure(t)

	t.Run("a job runs on a cluster's nodes to its end", func(t *testing.T) {
		t.Parallel()
		clients := azure.writer(t)
		jobs := clients.NewJobsClient()
		create(t, clients.NewComputeClient(), "workers", cluster("Standard_DS2_v2", 0, 2))
		wanted := job("workers")
		wanted.Resources = &ml.JobResourceConfiguration{InstanceCount: to.Ptr(int32(2))}
		_, err := jobs.CreateOrUpdate(background(t), group, workspace, "train-1", ml.JobBase{Properties: wanted}, nil)
		must(t, err)
		until(t, "the job's end", func() (bool, string) {
			got, err := jobs.Get(background(t), group, workspace, "train-1", nil)
			must(t, err)
			status := *command(t, got.JobBase).Status
			if status == ml.JobStatusFailed || status == ml.JobStatusCanceled {
				t.Fatalf("the job is %s", status)
			}
			return status == ml.JobStatusCompleted, string(status)
		})
	})

	t.Run("jobs are listed page by page", func(t *testing.T) {
		t.Parallel()
		jobs := azure.writer(t).NewJobsClient()
		for i := range 3 {
			// Without a compute a job has nodes of its own.
			wanted := job("")
			wanted.ComputeID = nil
			_, err := jobs.CreateOrUpdate(background(t), "lists-rg", "list-b", fmt.Sprintf("job-%d", i), ml.JobBase{Properties: wanted}, nil)
			must(t, err)
		}
		count, all := pages(t, jobs.NewListPager("lists-rg", "list-b", nil),
			func(page ml.JobsClientListResponse) []*ml.JobBase { return page.Value })
		equal(t, "pages", count, 2)
		equal(t, "jobs", len(all), 3)
		for i, one := range all {
			same(t, "name", one.Name, fmt.Sprintf("job-%d", i))
		}
	})

	t.Run("a job is cancelled by a poller", func(t *testing.T) {
		t.Parallel()
		clients := azure.writer(t)
		jobs := clients.NewJobsClient()
		create(t, clients.NewComputeClient(), "cancelled", cluster("Standard_DS2_v2", 0, 1))
		wanted := job("cancelled")
		wanted.EnvironmentVariables = map[string]*string{"AZUREML_SIM_DURATION": to.Ptr("P10D")}
		_, err := jobs.CreateOrUpdate(background(t), group, workspace, "endless", ml.JobBase{Properties: wanted}, nil)
		must(t, err)
		until(t, "a running job", func() (bool, string) {
			got, err := jobs.Get(background(t), group, workspace, "endless", nil)
			must(t, err)
			status := *command(t, got.JobBase).Status
			return status == ml.JobStatusRunning, string(status)
		})
		poller, err := jobs.BeginCancel(background(t), group, workspace, "endless", nil)
		must(t, err)
		ended(t, poller)
		got, err := jobs.Get(background(t), group, workspace, "endless", nil)
		must(t, err)
		same(t, "status", command(t, got.JobBase).Status, ml.JobStatusCanceled)
		_, err = jobs.BeginCancel(background(t), group, workspace, "endless", nil)
		refused(t, err, 400, "UserError")
	})

	t.Run("a job is deleted by a poller", func(t *testing.T) {
		t.Parallel()
		jobs := azure.writer(t).NewJobsClient()
		wanted := job("")
		wanted.ComputeID = nil
		_, err := jobs.CreateOrUpdate(background(t), group, workspace, "short-lived", ml.JobBase{Properties: wanted}, nil)
		must(t, err)
		poller, err := jobs.BeginDelete(background(t), group, workspace, "short-lived", nil)
		must(t, err)
		ended(t, poller)
		_, err = jobs.Get(background(t), group, workspace, "short-lived", nil)
		refused(t, err, 404, "ResourceNotFound")
	})

	t.Run("a job on a cluster that isn't there is refused", func(t *testing.T) {
		t.Parallel()
		_, err := azure.writer(t).NewJobsClient().CreateOrUpdate(background(t), group, workspace, "lost", ml.JobBase{Properties: job("absent")}, nil)
		refused(t, err, 400, "UserError")
	})
}

// fullJob is a command job with every field that a client may write.
func fullJob(compute string) *ml.CommandJob {
	full := job(compute)
	full.CodeID = to.Ptr(workspacePath + "/codes/train/versions/1")
	full.Description = to.Ptr("every field")
	full.DisplayName = to.Ptr("Full")
	full.Distribution = &ml.PyTorch{DistributionType: to.Ptr(ml.DistributionTypePyTorch), ProcessCountPerInstance: to.Ptr(int32(1))}
	full.EnvironmentVariables = map[string]*string{"SEED": to.Ptr("1")}
	full.ExperimentName = to.Ptr("contract")
	full.Identity = &ml.AmlToken{IdentityType: to.Ptr(ml.IdentityConfigurationTypeAMLToken)}
	full.Inputs = map[string]ml.JobInputClassification{
		"rate": &ml.LiteralJobInput{JobInputType: to.Ptr(ml.JobInputTypeLiteral), Value: to.Ptr("0.1"), Description: to.Ptr("a rate")},
		"data": &ml.URIFolderJobInput{
			JobInputType: to.Ptr(ml.JobInputTypeURIFolder), URI: to.Ptr("azureml://datastores/d/paths/x"),
			Mode: to.Ptr(ml.InputDeliveryModeReadOnlyMount), Description: to.Ptr("some data"),
		},
	}
	full.Outputs = map[string]ml.JobOutputClassification{
		"model": &ml.URIFolderJobOutput{
			JobOutputType: to.Ptr(ml.JobOutputTypeURIFolder), URI: to.Ptr("azureml://datastores/d/paths/y"),
			Mode: to.Ptr(ml.OutputDeliveryModeUpload), Description: to.Ptr("a model"),
		},
	}
	full.IsArchived = to.Ptr(false)
	full.Limits = &ml.CommandJobLimits{JobLimitsType: to.Ptr(ml.JobLimitsTypeCommand), Timeout: to.Ptr("PT1H")}
	full.NotificationSetting = &ml.NotificationSetting{
		EmailOn: []*ml.EmailNotificationEnableType{to.Ptr(ml.EmailNotificationEnableTypeJobFailed)},
		Emails:  []*string{to.Ptr("someone@contract.example")},
		Webhooks: map[string]ml.WebhookClassification{"done": &ml.AzureDevOpsWebhook{
			WebhookType: to.Ptr(ml.WebhookTypeAzureDevOps), EventType: to.Ptr("RunTerminated"),
		}},
	}
	full.Properties = map[string]*string{"note": to.Ptr("kept")}
	full.QueueSettings = &ml.QueueSettings{JobTier: to.Ptr(ml.JobTierStandard)}
	full.ComponentID = to.Ptr(workspacePath + "/components/train/versions/1")
	full.Resources = &ml.JobResourceConfiguration{
		InstanceCount: to.Ptr(int32(1)), InstanceType: to.Ptr("cpu"), ShmSize: to.Ptr("2g"), DockerArgs: to.Ptr("--init"),
		Properties: map[string]any{"note": "kept"},
	}
	full.Services = map[string]*ml.JobService{
		"board": {
			JobServiceType: to.Ptr("TensorBoard"), Port: to.Ptr(int32(6006)), Properties: map[string]*string{"logDir": to.Ptr("logs")},
			Endpoint: to.Ptr("https://board.example"), Nodes: &ml.AllNodes{NodesValueType: to.Ptr(ml.NodesValueTypeAll)},
		},
	}
	full.Tags = map[string]*string{"team": to.Ptr("vision")}
	return full
}
