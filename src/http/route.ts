/**
 * Which route a request has taken.
 */
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import type * as Context from "effect/Context"
import type * as Tracer from "effect/Tracer"

/**
 * The path of the route, with its parameters as they are written there: `/users/:id`. `undefined` where no router has chosen one.
 *
 * @param context of the handler, or of what is around it
 * @internal
 */
export const routeIn = (context: Context.Context<never>): string | undefined => {
  const route = (context.unsafeMap.get(HttpRouter.RouteContext.key) as HttpRouter.RouteContext | undefined)?.route
  if (route === undefined) return undefined
  const path = route.path as string
  const request = context.unsafeMap.get(HttpServerRequest.HttpServerRequest.key) as
    | HttpServerRequest.HttpServerRequest
    | undefined
  // Where a router is mounted below a path, its routes do not know of it, and the request has lost it.
  const { originalUrl = "", url = "" } = request ?? {}
  const cut = originalUrl.endsWith(url) ? originalUrl.slice(0, originalUrl.length - url.length) : ""
  const prefix = route.prefix._tag === "Some" ? route.prefix.value : ""
  return `${prefix !== "" && cut.endsWith(prefix) ? cut.slice(0, -prefix.length) : cut}${path}`
}

/** The same, as the router has written it on the span of the request. @internal */
export const routeOn = (span: Tracer.AnySpan | undefined): string | undefined => {
  const route = span?._tag === "Span" ? span.attributes.get("http.route") : undefined
  return typeof route === "string" ? route : undefined
}
