/** Files of the page that are embedded as text (`with { type: "text" }`). */
declare module "*.css" {
  const text: string;
  export default text;
}
declare module "*/live.js" {
  const text: string;
  export default text;
}
