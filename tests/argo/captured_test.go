package argo

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/argo/diff"
	"github.com/argoproj/argo-cd/v3/util/argo/normalizers"
	"github.com/argoproj/argo-cd/v3/util/lua"
	"github.com/argoproj/argo-cd/v3/util/settings"
	enginediff "github.com/argoproj/gitops-engine/pkg/diff"
	"github.com/argoproj/gitops-engine/pkg/health"
	"github.com/argoproj/gitops-engine/pkg/utils/kube"
	"github.com/argoproj/gitops-engine/pkg/utils/tracing"
	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// What Argo CD calls itself when it applies on the server's side.
const manager = "argocd-controller"

// captured is an object as the API server holds it, and what is said of it.
type captured struct {
	Name string         `json:"name"`
	Live map[string]any `json:"live"`
	// What was applied; nothing is compared without it.
	Target map[string]any `json:"target"`
	// Client or Server: whose side merged it. Argo CD compares in the way in which it applies.
	Side string `json:"side"`
	// Nothing is asked of its health without it.
	Health string `json:"health"`
	// Words that the health's message has to hold.
	Message string `json:"message"`
}

func (c captured) live() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: c.Live}
}
func (c captured) target() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: c.Target}
}

func capture(t *testing.T) []captured {
	t.Helper()
	var all []captured
	read(t, named(t, "CAPTURED"), &all)
	if len(all) == 0 {
		t.Fatal("nothing was captured")
	}
	return all
}

func cluster(t *testing.T) *rest.Config {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", named(t, "KUBECONFIG"))
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// overrides are what Argo CD reads from its ConfigMap in this cluster.
func overrides(t *testing.T, config *rest.Config) map[string]v1alpha1.ResourceOverride {
	t.Helper()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	found, err := settings.NewSettingsManager(t.Context(), client, "argocd").GetResourceOverrides()
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestCapturedHealth asks Argo CD for the health of the objects in the file CAPTURED.
func TestCapturedHealth(t *testing.T) {
	overrides := lua.ResourceHealthOverrides(overrides(t, cluster(t)))
	for _, object := range capture(t) {
		if object.Health == "" {
			continue
		}
		t.Run(object.Name, func(t *testing.T) {
			got, err := health.GetResourceHealth(object.live(), overrides)
			if err != nil || got == nil || string(got.Status) != object.Health || !strings.Contains(got.Message, object.Message) {
				t.Errorf("%+v (error %v), want %s with %q; of %v", got, err, object.Health, object.Message, object.Live["status"])
			}
		})
	}
}

// TestCapturedInSync compares the objects in the file CAPTURED with what was applied: none is out of sync, and each would
// be if what was applied changed.
func TestCapturedInSync(t *testing.T) {
	config := cluster(t)
	log := logr.Discard()
	tracer := tracing.NopTracer{}
	resources, parser, err := (&kube.KubectlCmd{Log: log, Tracer: tracer}).LoadOpenAPISchema(config)
	if err != nil {
		t.Fatal(err)
	}
	applier, cleanup, err := kube.ManageServerSideDiffDryRuns(config, resources, tracer, log, func(string) (kube.CleanupFunc, error) {
		return func() {}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer cleanup()
	base := func() *diff.DiffConfigBuilder {
		return diff.NewDiffConfigBuilder().
			WithDiffSettings(nil, overrides(t, config), false, normalizers.IgnoreNormalizerOpts{}).
			WithTracking("app.kubernetes.io/instance", "annotation").
			WithNoCache().WithLogger(log).WithGVKParser(parser).WithManager(manager)
	}
	engines := map[string]map[string]*diff.DiffConfigBuilder{
		"Client": {"three ways": base()},
		"Server": {
			"structured":    base().WithStructuredMergeDiff(true),
			"by the server": base().WithServerSideDiff(true).WithServerSideDryRunner(enginediff.NewK8sServerSideDryRunner(applier)),
		},
	}
	for _, object := range capture(t) {
		if object.Target == nil {
			continue
		}
		for name, builder := range engines[object.Side] {
			t.Run(object.Name+"/"+name, func(t *testing.T) {
				config, err := builder.Build()
				if err != nil {
					t.Fatal(err)
				}
				if modified, how := compare(t, object.live(), object.target(), config); modified {
					t.Errorf("out of sync: %s", how)
				}
				changed := object.target().DeepCopy()
				labels := changed.GetLabels()
				if labels == nil {
					labels = map[string]string{}
				}
				labels["changed"] = "yes"
				changed.SetLabels(labels)
				if modified, _ := compare(t, object.live(), changed, config); !modified {
					t.Error("in sync with what was never applied")
				}
			})
		}
	}
}

func compare(t *testing.T, live, target *unstructured.Unstructured, config diff.DiffConfig) (bool, string) {
	t.Helper()
	result, err := diff.StateDiff(live, target, config)
	if err != nil {
		t.Fatal(err)
	}
	return result.Modified, differences(t, result.NormalizedLive, result.PredictedLive)
}

// differences are the members of two objects that aren't equal, side by side.
func differences(t *testing.T, live, predicted []byte) string {
	t.Helper()
	var sides [2]any
	for i, text := range [][]byte{live, predicted} {
		if err := json.Unmarshal(text, &sides[i]); err != nil {
			t.Fatal(err)
		}
	}
	var told []string
	var walk func(path string, a, b any)
	walk = func(path string, a, b any) {
		one, isMap := a.(map[string]any)
		other, alsoMap := b.(map[string]any)
		if isMap && alsoMap {
			keys := map[string]bool{}
			for key := range one {
				keys[key] = true
			}
			for key := range other {
				keys[key] = true
			}
			for key := range keys {
				walk(path+"/"+key, one[key], other[key])
			}
			return
		}
		if !reflect.DeepEqual(a, b) {
			left, _ := json.Marshal(a)
			right, _ := json.Marshal(b)
			told = append(told, path+": it is "+string(left)+", by what was applied "+string(right))
		}
	}
	walk("", sides[0], sides[1])
	return strings.Join(told, "; ")
}
