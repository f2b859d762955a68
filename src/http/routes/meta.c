/* What the daemon says of itself: /, /version, /openapi.yaml. */
#include <jansson.h>

#include "bellwether/http/embedded.h"
#include "bellwether/http/versions.h"
#include "http/server/request.h"
#include "page.h"
#include "table.h"
#include "version.h"

static json_t *methods_of(unsigned methods)
{
    json_t *list = json_array();

    if (methods & HTTP_GET) {
        json_array_append_new(list, json_string("GET"));
        json_array_append_new(list, json_string("HEAD"));
    }
    if (methods & HTTP_POST) {
        json_array_append_new(list, json_string("POST"));
        json_array_append_new(list, json_string("PUT"));
    }
    json_array_append_new(list, json_string("OPTIONS"));
    return list;
}

void meta_handle_index(struct request *request)
{
    json_t *json, *routes;

    if (request->likes_html) {
        page_handle(request);
        return;
    }
    json = json_object();
    routes = json_array();
    for (int i = 0; i < ROUTES_COUNT; i++) {
        const struct route *row = router_row((enum route_id)i);
        json_t *route = json_object();

        if (!(row->scopes & SCOPE_BIT(request->listener->scope))) {
            json_decref(route);
            continue;
        }
        json_object_set_new(route, "path", json_string(row->path));
        json_object_set_new(route, "methods", methods_of(row->methods));
        json_object_set_new(route, "about", json_string(row->about));
        json_array_append_new(routes, route);
    }
    json_object_set_new(json, "name", json_string("bellwether"));
    json_object_set_new(json, "version", json_string(BELLWETHER_VERSION));
    json_object_set_new(json, "routes", routes);
    request_answer_json(request, MHD_HTTP_OK, json, NULL);
}

void meta_handle_version(struct request *request)
{
    json_t *json = json_object(), *libraries = json_object();
    struct library_version versions[LIBRARY_VERSIONS];

    library_versions(versions);
    for (const struct library_version *library = versions; library->name; library++) {
        json_object_set_new(libraries, library->name, json_string(library->version));
    }
    json_object_set_new(json, "version", json_string(BELLWETHER_VERSION));
    json_object_set_new(json, "commit", json_string(BELLWETHER_COMMIT));
    json_object_set_new(json, "libraries", libraries);
    request_answer_json(request, MHD_HTTP_OK, json, NULL);
}

void meta_handle_openapi(struct request *request)
{
    request_answer_static(request, CONTENT_YAML, embedded_openapi, embedded_openapi_size);
}
