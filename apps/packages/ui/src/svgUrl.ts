const NAMESPACE = 'xmlns="http://www.w3.org/2000/svg"'

/** An SVG as the address of an image: an image cannot run scripts, whatever is in it. */
export function svgUrl(svg: string): string {
  // Markup meant to stand inside a page leaves out the namespace, without which an image stays empty.
  const named = /^<svg[^>]*\sxmlns=/.test(svg) ? svg : svg.replace(/^<svg/, `<svg ${NAMESPACE}`)
  return `data:image/svg+xml;utf8,${encodeURIComponent(named)}`
}
