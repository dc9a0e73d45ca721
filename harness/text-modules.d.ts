/** Sources that are embedded as text: `import source from "….py" with { type: "text" }`. */
declare module "*.py" {
  const text: string;
  export default text;
}
