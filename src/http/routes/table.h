/* The routes' handlers, each in the file of its name: the list of routes (router.h) names them. */
#ifndef BELLWETHER_HTTP_ROUTES_TABLE_H
#define BELLWETHER_HTTP_ROUTES_TABLE_H

struct request;

void masters_handle_one(struct request *request);
void masters_handle_list(struct request *request);
void replicas_handle_list(struct request *request);
void replicas_handle_one(struct request *request);
void sentinels_handle(struct request *request);
void events_handle(struct request *request);
void health_handle_live(struct request *request);
void health_handle_ready(struct request *request);
void health_handle_check(struct request *request);
void failovers_handle(struct request *request);
void metrics_handle(struct request *request);
void status_handle(struct request *request);
void self_handle(struct request *request);
void self_handle_master(struct request *request);
void self_handle_replica(struct request *request);
void self_handle_ready(struct request *request);
void nodes_handle_master(struct request *request);
void nodes_handle_replica(struct request *request);
void meta_handle_index(struct request *request);
void meta_handle_version(struct request *request);
void meta_handle_openapi(struct request *request);

#endif
