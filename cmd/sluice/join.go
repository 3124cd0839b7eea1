package main

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/client"
)

// listJoined lists a live view as the objects that its items are: with a status that says what
// the view does.
func (o *getOptions) listJoined(ctx context.Context, c *client.Client, t *target) (*listing, error) {
	l, err := o.listLive(ctx, c, t)
	if err != nil {
		return nil, err
	}
	list, err := c.Objects(ctx, api.ObjectFilter{Kinds: kindsOfView(t.view.Name)})
	if err != nil {
		return nil, err
	}
	l.objects, l.revision = true, revisionOf(list)
	objects := map[string]*object{}
	for _, raw := range list.Items {
		object, err := readObject(raw)
		if err != nil {
			return nil, err
		}
		objects[originKey(object.ref())] = object
	}
	for i := range l.items {
		view := &l.items[i]
		var owners []*object
		for _, ref := range view.origins {
			if owner := objects[originKey(ref)]; owner != nil {
				owners = append(owners, owner)
			}
		}
		if view.raw, err = joinObject(*t.kind, view.name, view.raw, owners); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// revisionOf is the revision that a list is of.
func revisionOf(list *api.ObjectList) uint64 {
	n, _ := strconv.ParseUint(list.Metadata.ResourceVersion, 10, 64)
	return n
}

// joinObject makes a live view the status of the object of its name. Where there is none,
// it makes one that belongs to the object that the item was made of, if that is known.
func joinObject(k control.KindInfo, name string, view json.RawMessage, objects []*object) (json.RawMessage, error) {
	fields := map[string]json.RawMessage{}
	own := slices.IndexFunc(objects, func(o *object) bool { return o.Kind == k.Kind })
	if own >= 0 {
		if err := json.Unmarshal(objects[own].raw, &fields); err != nil {
			return nil, err
		}
	} else if err := setFields(fields, madeObject(k, name, objects)); err != nil {
		return nil, err
	}
	status := map[string]json.RawMessage{}
	if err := json.Unmarshal(view, &status); err != nil {
		return nil, err
	}
	delete(status, "name") // metadata has it
	if given := fields["status"]; given != nil {
		if err := json.Unmarshal(given, &status); err != nil { // conditions, revision, source
			return nil, err
		}
	}
	if err := setFields(fields, map[string]any{"status": status}); err != nil {
		return nil, err
	}
	return json.Marshal(fields)
}

// madeObject is an object that nobody wrote, without its status.
func madeObject(k control.KindInfo, name string, owners []*object) map[string]any {
	meta := map[string]any{"name": name}
	if before, after, found := strings.Cut(name, "/"); found {
		meta["namespace"], meta["name"] = before, after
	}
	if len(owners) > 0 {
		owner := owners[0]
		meta["ownerReferences"] = []map[string]string{{"apiVersion": owner.APIVersion, "kind": owner.Kind, "name": owner.Meta.Name}}
		if len(owner.Meta.Labels) > 0 {
			meta["labels"] = owner.Meta.Labels
		}
	}
	return map[string]any{"apiVersion": k.APIVersion, "kind": k.Kind, "metadata": meta}
}

func setFields(fields map[string]json.RawMessage, values map[string]any) error {
	for name, value := range values {
		raw, err := json.Marshal(value)
		if err != nil {
			return err
		}
		fields[name] = raw
	}
	return nil
}
