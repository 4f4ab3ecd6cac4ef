// What style sheets cannot say.
document$.subscribe(() => {
  for (const code of document.querySelectorAll(".md-typeset :not(pre) > code")) {
    code.innerHTML = code.innerHTML.replace(/(?<![\w-])--?\w[\w-]*/g, '<span class="option">$&</span>');
  }
  // Figures have 200 pixels an inch; this shows a column's text as high as that of the page.
  for (const image of document.querySelectorAll(".md-typeset p > img")) {
    const fit = () => (image.style.width = `${image.naturalWidth * 0.7}px`);
    if (image.complete) fit();
    else image.addEventListener("load", fit);
  }
});
