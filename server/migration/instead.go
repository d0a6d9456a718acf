package migration

// What happens instead, where it is the same for several servers.
const (
	ownTLS     = "TLS_CERT and TLS_KEY name the files of a certificate, without a passphrase; or a proxy in front has it, such as nginx with examples/pusher/nginx.conf"
	noNodes    = "Poosh is one process here: CLUSTER_REDIS has several act as one, see docs/cluster.md"
	noDatabase = "Poosh has its apps in a file and needs no database"
	noQueue    = "webhooks wait in the process, up to PUSHER_WEBHOOK_QUEUE, and are tried again for five minutes"
	noCORS     = "the API answers pages of all origins; what they need is a signature"
	noNames    = "names of channels and events may have 200 characters"
	oneMetric  = "ADMIN_PORT has /metrics, with names that begin with poosh_: change the prefix in dashboards and alert rules"
	adminHost  = "ADMIN_PORT is on loopback: for a Prometheus on another machine set ADMIN_HOST and ADMIN_TOKEN"
	noLambda   = "Poosh calls addresses, and no functions of AWS Lambda: put a function URL into the webhook"
	noBatch    = "batches have up to 100 events, or those of 50 ms"
	noRetry    = "a webhook is tried again for five minutes"
	allRates   = "Poosh has one rate for all requests of an app, api_rate"
	oneLimit   = "a client over its rate gets the error 4301 and stays connected"
)
