/** The name and version under which this SDK presents itself, everywhere alike. @internal */
export const SDK_NAME = "faultline.javascript.effect"

/** Kept equal to the version in `package.json` by a test. @internal */
export const SDK_VERSION = "0.1.0"

/** @internal */
export const SDK_PACKAGE = "npm:effect-faultline"
