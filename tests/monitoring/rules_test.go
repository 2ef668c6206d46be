package monitoring

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

// Labels that every series gets when it is read through a ServiceMonitor or a PodMonitor.
var ofTarget = []string{"container", "endpoint", "instance", "job", "namespace", "pod"}

// What Grafana puts in place of its variables.
var variables = strings.NewReplacer("$__rate_interval", "5m", "$namespace", ".*")

var labelInWords = regexp.MustCompile(`\$labels\.(\w+)`)

// TestAlerts reads the rules in the file RULES as Prometheus does. Each metric in them is one of the file METRICS, and each
// label that an expression or its words name is there to be named.
func TestAlerts(t *testing.T) {
	groups, errors := rulefmt.Parse(text(t, "RULES"), false, model.LegacyValidation)
	if len(errors) > 0 {
		t.Fatal(errors)
	}
	known := metrics(t)
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			t.Run(rule.Alert, func(t *testing.T) {
				given := judge(t, rule.Expr, known)
				for name, words := range rule.Annotations {
					for _, used := range labelInWords.FindAllStringSubmatch(words, -1) {
						if !slices.Contains(given, used[1]) {
							t.Errorf("%s names the label %s, but the alert has %v", name, used[1], given)
						}
					}
				}
			})
		}
	}
}

// TestDashboard does the same for the panels of the dashboard in the file DASHBOARD.
func TestDashboard(t *testing.T) {
	var dashboard struct {
		Panels []struct {
			Title   string `json:"title"`
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal(text(t, "DASHBOARD"), &dashboard); err != nil {
		t.Fatal(err)
	}
	known := metrics(t)
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			t.Run(panel.Title, func(t *testing.T) { judge(t, variables.Replace(target.Expr), known) })
		}
	}
}

// judge reads an expression, and gives the labels of what comes out of it.
func judge(t *testing.T, text string, known map[string][]string) []string {
	t.Helper()
	expr, err := parser.ParseExpr(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	seen := 0
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch node := node.(type) {
		case *parser.VectorSelector:
			seen++
			own, ok := known[node.Name]
			if !ok {
				t.Errorf("%s: there is no metric %s; there are %v", text, node.Name, slices.Sorted(maps.Keys(known)))
			}
			for _, matcher := range node.LabelMatchers {
				if matcher.Name != labels.MetricName && !slices.Contains(slices.Concat(own, ofTarget), matcher.Name) {
					t.Errorf("%s: %s has no label %s", text, node.Name, matcher.Name)
				}
			}
		case *parser.AggregateExpr:
			for _, label := range node.Grouping {
				if !slices.Contains(given(node.Expr, known), label) {
					t.Errorf("%s: there is no label %s to group by", text, label)
				}
			}
		}
		return nil
	})
	if seen == 0 {
		t.Errorf("%s: no metric in it", text)
	}
	return given(expr, known)
}

// given are the labels of an expression's series, as far as the expressions in use need it.
func given(expr parser.Expr, known map[string][]string) []string {
	switch expr := expr.(type) {
	case *parser.VectorSelector:
		return slices.Concat(known[expr.Name], ofTarget)
	case *parser.MatrixSelector:
		return given(expr.VectorSelector, known)
	case *parser.AggregateExpr:
		return expr.Grouping
	case *parser.ParenExpr:
		return given(expr.Expr, known)
	case *parser.BinaryExpr:
		return append(given(expr.LHS, known), given(expr.RHS, known)...)
	case *parser.Call:
		var all []string
		for _, argument := range expr.Args {
			all = append(all, given(argument, known)...)
		}
		return all
	}
	return nil
}

// metrics are the names of all series with the labels that the operator gives them.
func metrics(t *testing.T) map[string][]string {
	t.Helper()
	var all map[string][]string
	if err := json.Unmarshal(text(t, "METRICS"), &all); err != nil || len(all) == 0 {
		t.Fatalf("METRICS: %v (error %v)", all, err)
	}
	return all
}

// text is what stands in the file that a variable names.
func text(t *testing.T, variable string) []byte {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		t.Fatalf("%s is not set: see doc.go for who runs this", variable)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
