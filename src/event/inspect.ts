/**
 * Looking at what a program hands over: it may be a proxy, or have getters, that throw.
 */
import { types } from "node:util"

/** Also an error of another realm (`node:vm`). @internal */
export const isError = (value: unknown): value is Error => {
  try {
    return value instanceof Error || types.isNativeError(value)
  } catch {
    return false
  }
}

/** @internal */
export const read = (value: unknown, key: PropertyKey): unknown => {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return undefined
  try {
    return (value as Record<PropertyKey, unknown>)[key]
  } catch {
    return undefined
  }
}

/** @internal */
export const has = (value: unknown, key: PropertyKey): value is object => {
  if (typeof value !== "object" || value === null) return false
  try {
    return key in value
  } catch {
    return false
  }
}
