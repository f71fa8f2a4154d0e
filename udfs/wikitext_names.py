"""Names that MediaWiki's languages have for files, categories and redirects, all in lower case.

From the site settings of every Wikipedia (MediaWiki API, ``siprop=namespaces|namespacealiases|magicwords``), gathered
by wp2txt (MIT).
"""

from __future__ import annotations

from typing import Final


def _names(joined: str) -> frozenset[str]:
    return frozenset(joined.split("|"))


FILE_NAMESPACES: Final = _names(
    "aafbeilding|afaylu|afbeelding|anaajaalaa|apamduööt|archivi|archivo|archivu|arkivo|arquivo|attarong|attēls|"
    "barakas|barkas|beeld|beld|belld|berkas|bestaand|bestand|beureukaih|bhengkek|bielde|bild|bilde|biliþ|billede|"
    "biru' na zayzyuwaw|biru’ na zayzyuwaw|bondol|borkas|chitro|coadan|dadai|dataja|datei|datnyvei|datoteca|"
    "datoteka|delwedd|dencukaay|dosiero|dosiye|dossia|dosya|dosye|dt|duoro kɔre|ewava|eʼelyaaígíí|faal|faali|"
    "fael|faidhle|fail|faili|fails|failu|fajl|fasciculus|fayil|fayl|faylo|faýl|faịlụ|feil|fexeiro|ficheiro|"
    "ficheru|fichier|fichièr|fichiér|fichye|fiché|figura|figure|fiila|fiileq|fil|file|fisiye|fisye|fitxategi|"
    "fitxer|fix|fiùra|fişier|fișier|fl|fotografija|fájl|fáìlì|fáílú|gambar|gbofa|gefre|gepokan|grafika|hình|ijo|"
    "imachen|image|imagem|imagen|imagine|imago|imahen|imaj|imajen|imajo|imatge|imaxe|imaxen|imej|immaggine|"
    "immagine|immàgini|imàjine|imådje|irudi|isimumathi|iyeltak|kiʻi|kuva|kép|ladawan|lahabali kɔligu|lifayela|"
    "litratu|liwuram|lêer|magod|media|mmàggini|mynd|natisinahikaniwoc|ngokweenkcukacha|obrázok|ofbeeldienge|"
    "ofbeelding|ofbyld|papeles|patas bntasan|payl|paypay|picha|pilt|plaetje|plik|ragiv|resim|restr|restren|"
    "rikcha|räsem|sary|seswantšho|setshwantsho|sineqetj a vecik|sitelen|skeda|skeudenn|slika|soubor|stampa|"
    "su'wret|swret|súbor|ta'ãnga|talaksan|tangan|tasvir|tiedosto|tiätuvuárkká|tugna|tập tin|ugasan|usòrò|vaizdas|"
    "waihona|wepo|wobraz|wékpo|wêne|ymele|àwòrán|ákwúkwó orünotu|émâge|íomhá|òbrôzk|ùng-giông|īxiptli|şəkil|"
    "αρχείο|αρχείον|εικόνα|εικόναν|акс|артовкс|афаил|билэ|боомг|ви́дъ|видъ|выява|датотека|дт|дѣло|зображення|"
    "зураг|зург|изображение|картинка|ныв|няйф|ойуу|податотека|ресим|рәсем|слика|сурат|суред|сурет|сурт|файл|"
    "фотографија|хlум|ӳкерчĕк|պատկեր|בילד|טעקע|קו|קובץ|תמונה|أسگ|انځور|تصویر|جانیا|دوتنه|سۋرەت|صورة|عڪس|فائل|"
    "فاىل|فایل|فيشي|فَیِل|ملف|پرونده|پەڕگە|ھۆججەت|ܠܦܦܐ|ފައިލު|ފައިލް|ߞߐߕߐ߮|किपा|चित्र|चित्रं|चित्रम्|पटिमा|फाइल|"
    "फाईल|फायल|सञ्चिका|চিত্র|চিত্ৰ|ছবি|ਤਸਵੀਰ|ચિત્ર|ଫାଇଲ|படிமம்|దస్త్రం|ఫైలు|బొమ్మ|ಚಿತ್ರ|ಫೈಲ್|ചി|ചിത്രം|പ്ര|"
    "പ്രമാണം|ගොනුව|රූපය|ภาพ|ไฟล์|ຮູບ|ဖိုင်|ဖုဲင်|ဝှာင်|ၾၢႆႇ|სურათი|ფაილი|ስዕል|ፋይል|រូបភាព|ឯកសារ|ᥜᥣᥭᥱ|ᱨᱮᱫ|ⴰⴼⴰⵢⵍⵓ|"
    "ファイル|图像|图片|圖像|圖片|文件|文檔|档案|檔案|画像|ꠚꠣꠁꠟ|ꯐꯥꯏꯜ|그림|파일|𐍆𐌴𐌹𐌻𐌰"
)

CATEGORY_NAMESPACES: Final = _names(
    "abdeeling|adà|akotchajülee sünülia|akpaxwé|bangsaan|bekätakthook|bhângsa|buuri buuri|bólkur|bɛn|cat|"
    "catadorie|catagóir|categoreye|categori|categoria|categorie|category|categorìa|categoría|categorîa|categuria|"
    "categurìa|catigurìa|catègorie|catégorie|class|ct|dalala|ekpo|flocc|flokkur|gbuli|gbúgbe|grup|guru|horong|"
    "hŭng-lôi|ikiciro|jamii|kaarangay|kaban|kadegorie|kakuniza|kalasi|karolo|kasasiwasiw|kat|katagori|kateggoría|"
    "kategooria|kategoreja|kategori|kategoria|kategorie|kategorii|kategoriija|kategorija|kategorio|kategoriya|"
    "kategoriye|kategoriýa|kategory|kategorya|kategoryjo|kategoría|kategorî|kategourii|kategòrëjô|kategória|"
    "katejori|kateqoriya|katigori|katigoria|katiguriya|kattegerie|kattejori|katégori|katēggoría|kaurian|kawan|"
    "klad|klass|klesi|kt|kulupu|loma|luokka|mkhakha|māhele|nakka|neneuhcāyōtl|nkyekyεmu|otú|pinapapilipiliqan|"
    "pubu|rang|roinn-seòrsa|ronney|rukuni|rummad|sa|saachjrop|saachjropp|saachjrupp|sachgrubb|sachjrop|sanat|"
    "setensele|shopni|snakun|sokajy|sulli|sumut atassuseq|taggayt|thể loại|tipanictawin|tispir|tumbung|turkum|"
    "törkem|tʼááłáhági átʼéego|uluhlu|umkhakha|umuce|vibhag|wàll|zyuwaw na|ébéonọr|ñemohenda|òtù|κατηγορία|"
    "κατηγορίαν|акатегориа|ангилал|аңгылал|гурӯҳ|к|кадегар|кат|категори|категорие|категорий|категориэ|категория|"
    "категорија|категорія|катеґория|катеґорія|катигорїꙗ|катигорї|катэгорыя|кт|оагӏат|санат|тоба|төркем|төркөм|"
    "янз|әәшл|կատեգորիա|ստորոգութիւն|קאַטעגאָריע|קאטעגאריע|קט|קטגוריה|بؤلمه|تصنيف|تۈر|جرگه|دأسە|رج|رده|زمرو|زمرہ|"
    "زٲژ|سانات|ونکی|وېشنيزه|پ|پۆل|گٹھ|ܣܕܪܐ|ޤިސްމު|ߦߌߟߡߊ|पुचः|वर्ग|वर्गः|विभाग|श्र|श्रेणी|থাক|বিষয়শ্রেণী|শ্রেণী|"
    "শ্ৰেণী|ਸ਼੍ਰੇਣੀ|શ્રે|શ્રેણી|ବିଭାଗ|ଶ୍ରେଣୀ|பகுப்பு|వర్గం|ವರ್ಗ|ವರ್ಗೊ|വ|വി|വിഭാഗം|വർഗ്ഗം|ප්‍රවර්ගය|หมวดหมู่|ໝວດ|"
    "ကဏ္ဍ|ပိူင်ထၢၼ်ႈ|კატეგორია|መደብ|ከረርም|ចំណាត់ក្រុម|ចំណាត់ថ្នាក់ក្រុម|ចំនាត់ថ្នាក់ក្រុម|ᥙᥫᥒ ᥗᥣᥢ|ᱛᱷᱚᱠ|ẹ̀ka|ọgbọn̄|"
    "ⴰⵙⵎⵉⵍ|カテゴリ|分类|分類|ꠇꠦꠐꠣꠉꠞꠤ|ꯃꯆꯥꯈꯥꯏꯕ|분류|𐌷𐌰𐌽𐍃𐌰"
)

REDIRECT_WORDS: Final = _names(
    "'#redirect|'#хьажайо'|aanstuur|adkas|ail-cyfeirio|ailgyfeirio|al|aliah|alidirekti|alidirektu|alih|ancaminar|"
    "athsheoladh|aýdaw|beralîkirin|birzuzendu|daskedyans|deurverwiezing|dirección|dirijar|doorverwijzing|"
    "duurverwiezing|endrecera|fihodinana|hetenayiş|i̇sti̇qamətləndi̇r|i̇sti̇qamətləndi̇rmə|kiahou|kúfù|leidt öm op|"
    "lencong|ohjaus|omdiriger|omdirigering|ođđasitstivren|patrz|peradresavimas|presmeruj|preusmeri|preusmeritev|"
    "preusmjeri|przekieruj|pupinah|pusapuna|přesměruj|redireccio|redireccion|redirecció|redirección|redirecionamento|"
    "redirect|redirecteaza|redirection|redirèccion|reendrecera|renviament|ridrejto|rimando|rindirizza|rinvia|rinvio|"
    "stir|stivren|suuna|tam|tawa|tilvísun|tojədən i̇sti̇ğomət doy|uudelleenohjaus|varda|viruleedung|weiterleitung|"
    "wiederleiden|yonaltirish|yoʻnaltirish|yönlendir|yönlendirme|yönlendi̇r|yönlendi̇rme|yönləndi̇rmə|yönnendi̇r|"
    "yönnendi̇rmä|yönnendi̇rmäkler|átirányítás|æрвитæн|æрвыст|ömleide|ömleide op|ömleidung|đổi|ανακατευθυνση|айдау|"
    "види|виж|джибериу|дӏасахьажор'|көжүрүлге|ластар|перанакіраваньне|перенапр|перенаправление|перенаправлення|"
    "пренасочване|пренасочување|преусмери|преусмјери|прѣнаправлєниѥ|равона|рарвыст|редирект|утаарыы|утр|чиглүүлэг|"
    "шигледир|юнәлтү|վերահղում|վերայղում|הפניה|ווייטערפירן|بور|تحويل|تغییر مسیر|تغییرمسیر|رجوع مکرر|مخګرځ|مڑجوڑ|"
    "چوريو|ڕەوانەکەر|ܨܘܝܒܐ|अनुप्रेषण|अनुप्रेषित|अनुप्रेषितम्|पुनर्निदेशन|पुनर्निर्दिष्टम्|पुनर्निर्देशन|पुनर्प्रेषित|"
    "पुर्ननिर्देशन|পুনঃনির্দেশ|পুনঃর্নির্দেশ|পুননির্দেশ|পুনর্নির্দেশ|ਰੀਡਾਇਰੈਕਟ|ਰੀਡਿਰੈਕਟ|ଲେଉଟାଣି|வழிமாற்று|దారిమార్పు|"
    "തിരിച്ചുവിടുക|തിരിച്ചുവിടൽ|යළියොමුව|เปลี่ยนทาง|გადამისამართება|បញ្ជូនបន្ត|ប្ដូរចំណងជើង|ប្ដូរទីតាំង|"
    "ប្ដូរទីតាំងទៅ|ប្តូរទីតាំង|ប្តូរទីតាំងទៅ|リダイレクト|転送|重定向|重新導向|넘겨주기"
)
