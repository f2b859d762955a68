// Helm's part that renders: {"values", "chart", "release", "templates": {name: text}} on standard input, {name: text} on standard
// output. It has the functions that Helm adds to Sprig's; what asks a cluster finds nothing.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"sigs.k8s.io/yaml"
)

type object = map[string]interface{}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func render(t *template.Template, name string, data interface{}) (string, error) {
	var out strings.Builder
	err := t.ExecuteTemplate(&out, name, data)
	return strings.ReplaceAll(out.String(), "<no value>", ""), err
}

func toYaml(value interface{}) (string, error) {
	text, err := yaml.Marshal(value)
	return strings.TrimSuffix(string(text), "\n"), err
}

func functions(t *template.Template) template.FuncMap {
	all := sprig.TxtFuncMap()
	delete(all, "env")
	delete(all, "expandenv")
	all["include"] = func(name string, data interface{}) (string, error) { return render(t, name, data) }
	all["tpl"] = func(text string, data interface{}) (string, error) {
		clone, err := t.Clone()
		if err == nil {
			clone, err = clone.New("tpl").Parse(text)
		}
		if err != nil {
			return "", err
		}
		return render(clone, "tpl", data)
	}
	all["required"] = func(message string, value interface{}) (interface{}, error) {
		if text, isText := value.(string); value == nil || (isText && text == "") {
			return nil, fmt.Errorf("%s", message)
		}
		return value, nil
	}
	all["lookup"] = func(version, kind, namespace, name string) object { return object{} }
	all["toYaml"] = toYaml
	all["fromYaml"] = func(text string) (object, error) {
		value := object{}
		return value, yaml.Unmarshal([]byte(text), &value)
	}
	return all
}

func main() {
	var in struct {
		Values, Chart, Release object
		Templates              map[string]string
	}
	check(json.NewDecoder(os.Stdin).Decode(&in))
	t := template.New("chart").Option("missingkey=zero")
	t.Funcs(functions(t))
	for name, text := range in.Templates {
		_, err := t.New(name).Parse(text)
		check(err)
	}
	out := map[string]string{}
	for name := range in.Templates {
		if strings.HasPrefix(path.Base(name), "_") {
			continue
		}
		text, err := render(t, name, object{
			"Values": in.Values, "Chart": in.Chart, "Release": in.Release,
			"Template":     object{"Name": name, "BasePath": path.Dir(name)},
			"Capabilities": object{"KubeVersion": object{"Version": "v1.30.0", "Major": "1", "Minor": "30"}},
		})
		check(err)
		out[name] = text
	}
	check(json.NewEncoder(os.Stdout).Encode(out))
}
